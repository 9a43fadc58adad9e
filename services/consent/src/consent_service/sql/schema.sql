CREATE SCHEMA consent;

CREATE FUNCTION consent.head_only_grows() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF new.ledger_id <> old.ledger_id OR new.epoch < old.epoch OR new.size < old.size OR new.recorded_us < old.recorded_us THEN
        RAISE EXCEPTION 'the head of the ledger only grows' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN new;
END
$$;

CREATE FUNCTION consent.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'the ledger only grows: % on % is refused', tg_op, tg_table_name USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TABLE consent.entry (
    idx bigint NOT NULL,
    epoch bigint NOT NULL,
    kind text NOT NULL,
    subject_id text,
    recorded_us bigint NOT NULL,
    event_us bigint NOT NULL,
    effective boolean NOT NULL,
    reason text NOT NULL,
    purpose text,
    notice text,
    actor_type text,
    valid_to_us bigint,
    request_id text,
    body text NOT NULL,
    CONSTRAINT entry_idx_check CHECK ((idx >= 0))
);

CREATE TABLE consent.ledger_epoch (
    epoch bigint NOT NULL,
    start_size bigint NOT NULL
);

CREATE TABLE consent.log_head (
    ledger_id text NOT NULL,
    only_one boolean DEFAULT true NOT NULL,
    epoch bigint NOT NULL,
    size bigint NOT NULL,
    recorded_us bigint NOT NULL,
    registry_idx bigint,
    registry_digest text DEFAULT ''::text NOT NULL,
    CONSTRAINT log_head_epoch_check CHECK ((epoch > 0)),
    CONSTRAINT log_head_only_one_check CHECK (only_one),
    CONSTRAINT log_head_size_check CHECK ((size > 0))
);

CREATE TABLE consent.notice (
    id text NOT NULL,
    version bigint NOT NULL,
    locale text NOT NULL,
    sha256 text NOT NULL,
    bytes bytea NOT NULL
);

CREATE TABLE consent.outbox (
    "position" bigint NOT NULL,
    event_id text NOT NULL,
    subject text NOT NULL,
    envelope bytea NOT NULL,
    added_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE consent.outbox ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME consent.outbox_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE consent.partition_head (
    partition smallint NOT NULL,
    idx bigint NOT NULL
);

CREATE TABLE consent.registry (
    idx bigint NOT NULL,
    digest text NOT NULL,
    document bytea NOT NULL
);

CREATE TABLE consent.request (
    request_id text NOT NULL,
    content_hash bytea NOT NULL,
    result text NOT NULL
);

CREATE TABLE consent.subject_state (
    subject_id text NOT NULL,
    root text NOT NULL,
    survivor text,
    link bigint,
    members text[] NOT NULL,
    last_idx bigint NOT NULL,
    statements text NOT NULL,
    sealed text[] DEFAULT '{}'::text[] NOT NULL,
    erased boolean DEFAULT false NOT NULL
)
WITH (fillfactor='70');

ALTER TABLE ONLY consent.entry
    ADD CONSTRAINT entry_pkey PRIMARY KEY (idx);

ALTER TABLE ONLY consent.ledger_epoch
    ADD CONSTRAINT ledger_epoch_pkey PRIMARY KEY (epoch);

ALTER TABLE ONLY consent.log_head
    ADD CONSTRAINT log_head_only_one_key UNIQUE (only_one);

ALTER TABLE ONLY consent.log_head
    ADD CONSTRAINT log_head_pkey PRIMARY KEY (ledger_id);

ALTER TABLE ONLY consent.notice
    ADD CONSTRAINT notice_pkey PRIMARY KEY (id, version, locale);

ALTER TABLE ONLY consent.outbox
    ADD CONSTRAINT outbox_event_id_key UNIQUE (event_id);

ALTER TABLE ONLY consent.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY consent.partition_head
    ADD CONSTRAINT partition_head_pkey PRIMARY KEY (partition);

ALTER TABLE ONLY consent.registry
    ADD CONSTRAINT registry_pkey PRIMARY KEY (idx);

ALTER TABLE ONLY consent.request
    ADD CONSTRAINT request_pkey PRIMARY KEY (request_id);

ALTER TABLE ONLY consent.subject_state
    ADD CONSTRAINT subject_state_pkey PRIMARY KEY (subject_id);

CREATE INDEX entry_subject ON consent.entry USING btree (subject_id, idx) WHERE (subject_id IS NOT NULL);

CREATE INDEX registry_digest ON consent.registry USING btree (digest, idx);

CREATE TRIGGER only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON consent.entry FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON consent.ledger_epoch FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER only_grows BEFORE UPDATE ON consent.log_head FOR EACH ROW EXECUTE FUNCTION consent.head_only_grows();

CREATE TRIGGER only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON consent.notice FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON consent.registry FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON consent.request FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER only_grows_delete BEFORE DELETE OR TRUNCATE ON consent.log_head FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();
