-- migrate:up
CREATE TABLE partitions (
    pp smallint PRIMARY KEY,
    epoch bigint NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    stream_ms bigint NOT NULL DEFAULT 0,
    seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE session_state (
    session text PRIMARY KEY,
    pp smallint NOT NULL,
    visitor text NOT NULL,
    subject text NOT NULL,
    channel text NOT NULL,
    state bytea NOT NULL,
    changed_ms bigint NOT NULL
);
CREATE INDEX session_state_pp ON session_state (pp);
CREATE INDEX session_state_subject ON session_state (subject);

CREATE TABLE signals (
    id text PRIMARY KEY,
    revision integer NOT NULL,
    definition text NOT NULL,
    version integer NOT NULL,
    hash text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('friction', 'trigger', 'intent')),
    strength smallint NOT NULL CHECK (strength BETWEEN 1 AND 3),
    warrants boolean NOT NULL,
    internal boolean NOT NULL,
    shadow boolean NOT NULL,
    purpose text NOT NULL,
    categories text [] NOT NULL,
    pp smallint NOT NULL,
    session text NOT NULL,
    subject text NOT NULL,
    channel text NOT NULL,
    per jsonb NOT NULL,
    fields jsonb NOT NULL,
    count bigint,
    evidence text [] NOT NULL,
    first_at bigint NOT NULL,
    at bigint NOT NULL,
    expires_at bigint NOT NULL,
    known_at bigint NOT NULL,
    ledger_index bigint NOT NULL,
    bundle text NOT NULL,
    ended_at bigint,
    reason text
);
CREATE INDEX signals_subject ON signals (subject, expires_at) WHERE ended_at IS NULL;
CREATE INDEX signals_session ON signals (session);

CREATE TABLE signal_changes (
    id text NOT NULL,
    revision integer NOT NULL,
    change text NOT NULL CHECK (change IN ('detected', 'linked', 'ended', 'corrected', 'retracted')),
    at bigint NOT NULL,
    reason text,
    PRIMARY KEY (id, revision)
);

CREATE TABLE forgotten (
    request_id text PRIMARY KEY,
    rows_removed bigint NOT NULL
);

CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    subject text NOT NULL,
    envelope bytea NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now()
);

-- migrate:down
