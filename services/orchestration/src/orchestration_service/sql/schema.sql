CREATE SCHEMA orchestration;

CREATE FUNCTION orchestration.ensure_month(at_ms bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'orchestration'
    AS $$
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

CREATE TABLE orchestration.decision (
    decision_id text NOT NULL,
    now_ms bigint NOT NULL,
    subject_id text,
    channel text NOT NULL,
    record bytea,
    digest bytea NOT NULL,
    sequence bigint NOT NULL
)
PARTITION BY RANGE (now_ms);
ALTER TABLE ONLY orchestration.decision ALTER COLUMN record SET STORAGE EXTERNAL;

CREATE TABLE orchestration.decision_other (
    decision_id text CONSTRAINT decision_decision_id_not_null NOT NULL,
    now_ms bigint CONSTRAINT decision_now_ms_not_null NOT NULL,
    subject_id text,
    channel text CONSTRAINT decision_channel_not_null NOT NULL,
    record bytea,
    digest bytea CONSTRAINT decision_digest_not_null NOT NULL,
    sequence bigint CONSTRAINT decision_sequence_not_null NOT NULL
);
ALTER TABLE ONLY orchestration.decision_other ALTER COLUMN record SET STORAGE EXTERNAL;

CREATE TABLE orchestration.forgotten (
    subject_id text NOT NULL
);

CREATE TABLE orchestration.outcome (
    outcome_id text NOT NULL,
    recorded_at_ms bigint NOT NULL
);

ALTER TABLE ONLY orchestration.decision ATTACH PARTITION orchestration.decision_other DEFAULT;

ALTER TABLE ONLY orchestration.decision
    ADD CONSTRAINT decision_pkey PRIMARY KEY (decision_id, now_ms);

ALTER TABLE ONLY orchestration.decision_other
    ADD CONSTRAINT decision_other_pkey PRIMARY KEY (decision_id, now_ms);

ALTER TABLE ONLY orchestration.forgotten
    ADD CONSTRAINT forgotten_pkey PRIMARY KEY (subject_id);

ALTER TABLE ONLY orchestration.outcome
    ADD CONSTRAINT outcome_pkey PRIMARY KEY (outcome_id);

CREATE INDEX decision_by_subject ON ONLY orchestration.decision USING btree (subject_id, now_ms);

CREATE INDEX decision_other_subject_id_now_ms_idx ON orchestration.decision_other USING btree (subject_id, now_ms);

ALTER INDEX orchestration.decision_pkey ATTACH PARTITION orchestration.decision_other_pkey;

ALTER INDEX orchestration.decision_by_subject ATTACH PARTITION orchestration.decision_other_subject_id_now_ms_idx;
