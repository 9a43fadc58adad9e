CREATE SCHEMA signals;

CREATE TABLE signals.forgotten (
    request_id text NOT NULL,
    rows_removed bigint NOT NULL
);

CREATE TABLE signals.outbox (
    "position" bigint NOT NULL,
    event_id text NOT NULL,
    subject text NOT NULL,
    envelope bytea NOT NULL,
    added_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE signals.outbox ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME signals.outbox_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE signals.partitions (
    pp smallint NOT NULL,
    epoch bigint NOT NULL,
    "position" bigint DEFAULT 0 NOT NULL,
    stream_ms bigint DEFAULT 0 NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE signals.session_state (
    session text NOT NULL,
    pp smallint NOT NULL,
    visitor text NOT NULL,
    subject text NOT NULL,
    channel text NOT NULL,
    state bytea NOT NULL,
    changed_ms bigint NOT NULL
);

CREATE TABLE signals.signal_changes (
    id text NOT NULL,
    revision integer NOT NULL,
    change text NOT NULL,
    at bigint NOT NULL,
    reason text,
    CONSTRAINT signal_changes_change_check CHECK ((change = ANY (ARRAY['detected'::text, 'linked'::text, 'ended'::text, 'corrected'::text, 'retracted'::text])))
);

CREATE TABLE signals.signals (
    id text NOT NULL,
    revision integer NOT NULL,
    definition text NOT NULL,
    version integer NOT NULL,
    hash text NOT NULL,
    kind text NOT NULL,
    strength smallint NOT NULL,
    warrants boolean NOT NULL,
    internal boolean NOT NULL,
    shadow boolean NOT NULL,
    purpose text NOT NULL,
    categories text[] NOT NULL,
    pp smallint NOT NULL,
    session text NOT NULL,
    subject text NOT NULL,
    channel text NOT NULL,
    per jsonb NOT NULL,
    fields jsonb NOT NULL,
    count bigint,
    evidence text[] NOT NULL,
    first_at bigint NOT NULL,
    at bigint NOT NULL,
    expires_at bigint NOT NULL,
    known_at bigint NOT NULL,
    ledger_index bigint NOT NULL,
    bundle text NOT NULL,
    ended_at bigint,
    reason text,
    CONSTRAINT signals_kind_check CHECK ((kind = ANY (ARRAY['friction'::text, 'trigger'::text, 'intent'::text]))),
    CONSTRAINT signals_strength_check CHECK (((strength >= 1) AND (strength <= 3)))
);

ALTER TABLE ONLY signals.forgotten
    ADD CONSTRAINT forgotten_pkey PRIMARY KEY (request_id);

ALTER TABLE ONLY signals.outbox
    ADD CONSTRAINT outbox_event_id_key UNIQUE (event_id);

ALTER TABLE ONLY signals.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY signals.partitions
    ADD CONSTRAINT partitions_pkey PRIMARY KEY (pp);

ALTER TABLE ONLY signals.session_state
    ADD CONSTRAINT session_state_pkey PRIMARY KEY (session);

ALTER TABLE ONLY signals.signal_changes
    ADD CONSTRAINT signal_changes_pkey PRIMARY KEY (id, revision);

ALTER TABLE ONLY signals.signals
    ADD CONSTRAINT signals_pkey PRIMARY KEY (id);

CREATE INDEX session_state_pp ON signals.session_state USING btree (pp);

CREATE INDEX session_state_subject ON signals.session_state USING btree (subject);

CREATE INDEX signals_session ON signals.signals USING btree (session);

CREATE INDEX signals_subject ON signals.signals USING btree (subject, expires_at) WHERE (ended_at IS NULL);
