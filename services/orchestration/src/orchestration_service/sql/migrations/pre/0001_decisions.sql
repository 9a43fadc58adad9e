-- migrate:up
-- Records are kept as they came: compressing one costs twice what the rest of storing it does.
CREATE TABLE decision (
    decision_id text NOT NULL,
    now_ms bigint NOT NULL,
    subject_id text,
    channel text NOT NULL,
    record bytea STORAGE EXTERNAL,
    digest bytea NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (decision_id, now_ms)
) PARTITION BY RANGE (now_ms);
CREATE INDEX decision_by_subject ON decision (subject_id, now_ms);
CREATE TABLE decision_other PARTITION OF decision DEFAULT;

-- The service may not create tables; this makes the partition of a month, and nothing else.
CREATE FUNCTION ensure_month(at_ms bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = orchestration AS $$
DECLARE
    first timestamptz := date_trunc('month', to_timestamp(at_ms / 1000.0), 'UTC');
    lower_ms bigint := extract(EPOCH FROM first) * 1000;
    upper_ms bigint := extract(EPOCH FROM date_add(first, '1 month', 'UTC')) * 1000;
    name text := 'decision_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
    IF to_regclass(name) IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('orchestration.ensure_month', 0));
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF decision FOR VALUES FROM (%s) TO (%s)', name, lower_ms, upper_ms);
    END IF;
END;
$$;

-- Subjects that are erased: what comes late is not archived either. An id of ours, which then points to nobody.
CREATE TABLE forgotten (
    subject_id text PRIMARY KEY
);

CREATE TABLE outcome (
    outcome_id text PRIMARY KEY,
    recorded_at_ms bigint NOT NULL
);

-- migrate:down
