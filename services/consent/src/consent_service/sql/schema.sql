CREATE SCHEMA consent;

CREATE FUNCTION consent.only_the_eraser() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF current_user <> 'consent_eraser' THEN
        RAISE EXCEPTION 'only the eraser deletes events' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION consent.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'the ledger only grows: % on % is refused', tg_op, tg_table_name USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TABLE consent.checkpoint (
    size bigint NOT NULL,
    root bytea NOT NULL,
    note bytea NOT NULL,
    cosignatures bytea[] DEFAULT '{}'::bytea[] NOT NULL,
    published_us bigint NOT NULL
);

CREATE TABLE consent.erasure_case (
    case_id text NOT NULL,
    status text NOT NULL,
    ground text NOT NULL,
    requested_us bigint NOT NULL,
    requested_by text NOT NULL,
    hold_until_us bigint,
    retain_until_us bigint,
    decisions jsonb DEFAULT '[]'::jsonb NOT NULL,
    certificate bytea,
    people integer DEFAULT 0 NOT NULL,
    unsealed boolean DEFAULT false NOT NULL,
    started_us bigint,
    died_us bigint,
    erasures jsonb DEFAULT '[]'::jsonb NOT NULL,
    deleted jsonb DEFAULT '{}'::jsonb NOT NULL,
    exports jsonb DEFAULT '[]'::jsonb NOT NULL,
    certificate_kid text,
    certificate_signature bytea,
    revision integer DEFAULT 0 NOT NULL
);

CREATE TABLE consent.erasure_subject (
    case_id text NOT NULL,
    subject_id text NOT NULL,
    is_open boolean DEFAULT true NOT NULL
);

CREATE TABLE consent.event (
    idx bigint NOT NULL,
    class smallint NOT NULL,
    kind text NOT NULL,
    event_id bytea NOT NULL,
    subject_id text,
    subject_seq bigint,
    purpose text,
    notice text,
    regimes text[] DEFAULT '{}'::text[] NOT NULL,
    actor_type text,
    effective boolean NOT NULL,
    reason text NOT NULL,
    event_us bigint NOT NULL,
    recorded_us bigint NOT NULL,
    valid_to_us bigint,
    request_id text,
    request_hash bytea,
    request_entries integer,
    epoch bigint NOT NULL,
    pub text NOT NULL,
    nonce bytea,
    sealed bytea,
    CONSTRAINT event_idx_check CHECK ((idx >= 0))
);
ALTER TABLE ONLY consent.event ALTER COLUMN sealed SET STORAGE EXTERNAL;

CREATE TABLE consent.finding (
    decision_id text NOT NULL,
    rule text NOT NULL,
    detail text NOT NULL,
    at_us bigint NOT NULL
);

CREATE TABLE consent.fold_position (
    stream text NOT NULL,
    partition integer NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL
);

CREATE TABLE consent.handed_out (
    export_id text NOT NULL,
    subject_id text,
    at_us bigint NOT NULL,
    handed_by text NOT NULL
);

CREATE TABLE consent.ledger_epoch (
    epoch bigint NOT NULL,
    start_size bigint NOT NULL,
    started_us bigint NOT NULL,
    writer text NOT NULL
);

CREATE TABLE consent.log_entry (
    idx bigint NOT NULL,
    leaf bytea NOT NULL,
    CONSTRAINT log_entry_idx_check CHECK ((idx >= 0)),
    CONSTRAINT log_entry_leaf_check CHECK ((octet_length(leaf) = 162))
);

CREATE TABLE consent.log_head (
    ledger_id text NOT NULL,
    only_one boolean DEFAULT true NOT NULL,
    epoch bigint NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL,
    frontier bytea[] NOT NULL,
    registry_idx bigint,
    registry_digest text DEFAULT ''::text NOT NULL,
    recorded_us bigint NOT NULL,
    writer text DEFAULT ''::text NOT NULL,
    CONSTRAINT log_head_epoch_check CHECK ((epoch >= 0)),
    CONSTRAINT log_head_only_one_check CHECK (only_one),
    CONSTRAINT log_head_root_check CHECK ((octet_length(root) = 32)),
    CONSTRAINT log_head_size_check CHECK ((size >= 0))
);

CREATE TABLE consent.log_tile (
    level smallint NOT NULL,
    n bigint NOT NULL,
    hashes bytea NOT NULL
)
WITH (fillfactor='50');
ALTER TABLE ONLY consent.log_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE consent.notice (
    id text NOT NULL,
    version bigint NOT NULL,
    locale text NOT NULL,
    sha256 text NOT NULL,
    bytes bytea NOT NULL
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

CREATE TABLE consent.relay_cursor (
    only_one boolean DEFAULT true NOT NULL,
    idx bigint NOT NULL,
    CONSTRAINT relay_cursor_only_one_check CHECK (only_one)
);

CREATE TABLE consent.reliance (
    decision_id text NOT NULL,
    purpose text NOT NULL,
    support_idx bigint,
    subject_id text,
    basis_idx bigint NOT NULL,
    at_us bigint NOT NULL,
    decided_us bigint NOT NULL,
    channel text DEFAULT ''::text NOT NULL,
    categories text[] DEFAULT '{}'::text[] NOT NULL,
    regimes text[] DEFAULT '{}'::text[] NOT NULL
);

CREATE TABLE consent.subject_state (
    subject_id text NOT NULL,
    status text NOT NULL,
    root text NOT NULL,
    survivor text,
    link bigint,
    members text[] NOT NULL,
    sealed text[] DEFAULT '{}'::text[] NOT NULL,
    seq bigint NOT NULL,
    last_idx bigint NOT NULL,
    last_leaf_hash bytea NOT NULL,
    statements text NOT NULL,
    CONSTRAINT subject_state_last_leaf_hash_check CHECK ((octet_length(last_leaf_hash) = 32)),
    CONSTRAINT subject_state_status_check CHECK ((status = ANY (ARRAY['LIVE'::text, 'SEALED'::text, 'ERASED'::text])))
)
WITH (fillfactor='70');

ALTER TABLE ONLY consent.checkpoint
    ADD CONSTRAINT checkpoint_pkey PRIMARY KEY (size);

ALTER TABLE ONLY consent.erasure_case
    ADD CONSTRAINT erasure_case_pkey PRIMARY KEY (case_id);

ALTER TABLE ONLY consent.erasure_subject
    ADD CONSTRAINT erasure_subject_pkey PRIMARY KEY (case_id, subject_id);

ALTER TABLE ONLY consent.event
    ADD CONSTRAINT event_event_id_key UNIQUE (event_id);

ALTER TABLE ONLY consent.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (idx);

ALTER TABLE ONLY consent.event
    ADD CONSTRAINT event_request_id_key UNIQUE (request_id);

ALTER TABLE ONLY consent.event
    ADD CONSTRAINT event_subject_id_subject_seq_key UNIQUE (subject_id, subject_seq);

ALTER TABLE ONLY consent.finding
    ADD CONSTRAINT finding_pkey PRIMARY KEY (decision_id, rule);

ALTER TABLE ONLY consent.fold_position
    ADD CONSTRAINT fold_position_pkey PRIMARY KEY (stream, partition);

ALTER TABLE ONLY consent.handed_out
    ADD CONSTRAINT handed_out_pkey PRIMARY KEY (export_id);

ALTER TABLE ONLY consent.ledger_epoch
    ADD CONSTRAINT ledger_epoch_pkey PRIMARY KEY (epoch);

ALTER TABLE ONLY consent.log_entry
    ADD CONSTRAINT log_entry_pkey PRIMARY KEY (idx);

ALTER TABLE ONLY consent.log_head
    ADD CONSTRAINT log_head_only_one_key UNIQUE (only_one);

ALTER TABLE ONLY consent.log_head
    ADD CONSTRAINT log_head_pkey PRIMARY KEY (ledger_id);

ALTER TABLE ONLY consent.log_tile
    ADD CONSTRAINT log_tile_pkey PRIMARY KEY (level, n);

ALTER TABLE ONLY consent.notice
    ADD CONSTRAINT notice_pkey PRIMARY KEY (id, version, locale);

ALTER TABLE ONLY consent.partition_head
    ADD CONSTRAINT partition_head_pkey PRIMARY KEY (partition);

ALTER TABLE ONLY consent.registry
    ADD CONSTRAINT registry_pkey PRIMARY KEY (idx);

ALTER TABLE ONLY consent.relay_cursor
    ADD CONSTRAINT relay_cursor_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY consent.reliance
    ADD CONSTRAINT reliance_pkey PRIMARY KEY (decision_id, purpose);

ALTER TABLE ONLY consent.subject_state
    ADD CONSTRAINT subject_state_pkey PRIMARY KEY (subject_id);

CREATE INDEX checkpoint_published ON consent.checkpoint USING btree (published_us);

CREATE INDEX erasure_case_due ON consent.erasure_case USING btree (case_id) WHERE ((status <> ALL (ARRAY['DENIED'::text, 'CERTIFIED'::text])) OR ((NOT unsealed) AND (status = 'DENIED'::text)));

CREATE UNIQUE INDEX erasure_subject_open ON consent.erasure_subject USING btree (subject_id) WHERE is_open;

CREATE INDEX finding_at ON consent.finding USING btree (at_us);

CREATE INDEX handed_out_subject ON consent.handed_out USING btree (subject_id);

CREATE INDEX registry_digest ON consent.registry USING btree (digest, idx);

CREATE INDEX reliance_decided ON consent.reliance USING btree (decided_us);

CREATE INDEX reliance_subject ON consent.reliance USING btree (subject_id);

CREATE INDEX reliance_support ON consent.reliance USING btree (support_idx);

CREATE INDEX subject_state_erased ON consent.subject_state USING btree (last_idx) WHERE (status = 'ERASED'::text);

CREATE TRIGGER only_grows BEFORE UPDATE ON consent.log_head FOR EACH ROW WHEN (((new.ledger_id <> old.ledger_id) OR (new.epoch < old.epoch) OR (new.size < old.size) OR (new.recorded_us < old.recorded_us) OR (new.registry_idx < old.registry_idx) OR ((new.registry_idx IS NULL) AND (old.registry_idx IS NOT NULL)))) EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER only_grows BEFORE UPDATE ON consent.log_tile FOR EACH ROW WHEN (((new.level <> old.level) OR (new.n <> old.n) OR (SUBSTRING(new.hashes FROM 1 FOR octet_length(old.hashes)) <> old.hashes))) EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER only_grows BEFORE UPDATE ON consent.partition_head FOR EACH ROW WHEN (((new.partition <> old.partition) OR (new.idx < old.idx))) EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER only_grows BEFORE UPDATE ON consent.relay_cursor FOR EACH ROW WHEN ((new.idx < old.idx)) EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER only_subjects BEFORE DELETE ON consent.event FOR EACH ROW WHEN ((old.class <> 1)) EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER only_the_eraser BEFORE DELETE ON consent.event FOR EACH STATEMENT EXECUTE FUNCTION consent.only_the_eraser();

CREATE TRIGGER stays BEFORE DELETE OR UPDATE OR TRUNCATE ON consent.checkpoint FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER stays BEFORE UPDATE OR TRUNCATE ON consent.event FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER stays BEFORE DELETE OR UPDATE OR TRUNCATE ON consent.ledger_epoch FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER stays BEFORE DELETE OR UPDATE OR TRUNCATE ON consent.log_entry FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON consent.log_head FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON consent.log_tile FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER stays BEFORE DELETE OR UPDATE OR TRUNCATE ON consent.notice FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON consent.partition_head FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER stays BEFORE DELETE OR UPDATE OR TRUNCATE ON consent.registry FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON consent.relay_cursor FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON consent.subject_state FOR EACH STATEMENT EXECUTE FUNCTION consent.refuse_change();

CREATE TRIGGER stays_erased BEFORE UPDATE ON consent.subject_state FOR EACH ROW WHEN (((new.subject_id <> old.subject_id) OR ((old.status = 'ERASED'::text) AND (new.status <> 'ERASED'::text)))) EXECUTE FUNCTION consent.refuse_change();

ALTER TABLE ONLY consent.erasure_subject
    ADD CONSTRAINT erasure_subject_case_id_fkey FOREIGN KEY (case_id) REFERENCES consent.erasure_case(case_id);
