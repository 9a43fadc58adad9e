-- migrate:up

-- The end of the ledger, one row: the writer that finds it as it left it moves it, in the transaction of what it appends.
CREATE TABLE log_head (
    ledger_id text PRIMARY KEY,
    only_one boolean NOT NULL DEFAULT true UNIQUE CHECK (only_one),
    epoch bigint NOT NULL CHECK (epoch >= 0),
    size bigint NOT NULL CHECK (size >= 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    frontier bytea [] NOT NULL,
    registry_idx bigint,
    registry_digest text NOT NULL DEFAULT '',
    recorded_us bigint NOT NULL,
    writer text NOT NULL DEFAULT ''
);

-- Where each epoch of the writer began.
CREATE TABLE ledger_epoch (
    epoch bigint PRIMARY KEY,
    start_size bigint NOT NULL,
    started_us bigint NOT NULL,
    writer text NOT NULL
);

-- The leaves, and the tree over them in the rows of C2SP tlog-tiles. They hold nothing about a person, and are never erased.
CREATE TABLE log_entry (
    idx bigint PRIMARY KEY CHECK (idx >= 0),
    leaf bytea NOT NULL CHECK (octet_length(leaf) = 162)
);

CREATE TABLE log_tile (
    level smallint NOT NULL,
    n bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (level, n)
) WITH (fillfactor = 50);
-- Hashes do not compress.
ALTER TABLE log_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE checkpoint (
    size bigint PRIMARY KEY,
    root bytea NOT NULL,
    note bytea NOT NULL,
    cosignatures bytea [] NOT NULL DEFAULT '{}',
    published_us bigint NOT NULL
);
CREATE INDEX checkpoint_published ON checkpoint (published_us);

-- The bodies of the entries: `pub` is canonical JSON, the private one is sealed under the subject's key. Clear columns serve queries. The
-- rows are the outbox too: the relay publishes them in the order of their indices. Only those of subjects are ever deleted.
CREATE TABLE event (
    idx bigint PRIMARY KEY CHECK (idx >= 0),
    class smallint NOT NULL,
    kind text NOT NULL,
    event_id bytea NOT NULL UNIQUE,
    subject_id text,
    subject_seq bigint,
    purpose text,
    notice text,
    regimes text [] NOT NULL DEFAULT '{}',
    actor_type text,
    effective boolean NOT NULL,
    reason text NOT NULL,
    event_us bigint NOT NULL,
    recorded_us bigint NOT NULL,
    valid_to_us bigint,
    request_id text UNIQUE,
    request_hash bytea,
    request_entries int,
    epoch bigint NOT NULL,
    pub text NOT NULL,
    nonce bytea,
    sealed bytea,
    UNIQUE (subject_id, subject_seq)
);
ALTER TABLE event ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- The fold of a subject's entries: a check reads one row. `root` is the subject that answers, `sealed` names the members for whom an erasure
-- was asked, a row whose status is ERASED is a tombstone. The last leaf's hash and number continue the subject's chain.
CREATE TABLE subject_state (
    subject_id text PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('LIVE', 'SEALED', 'ERASED')),
    root text NOT NULL,
    survivor text,
    link bigint,
    members text [] NOT NULL,
    sealed text [] NOT NULL DEFAULT '{}',
    seq bigint NOT NULL,
    last_idx bigint NOT NULL,
    last_leaf_hash bytea NOT NULL CHECK (octet_length(last_leaf_hash) = 32),
    statements text NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE registry (
    idx bigint PRIMARY KEY,
    digest text NOT NULL,
    document bytea NOT NULL
);
CREATE INDEX registry_digest ON registry (digest, idx);

CREATE TABLE notice (
    id text NOT NULL,
    version bigint NOT NULL,
    locale text NOT NULL,
    sha256 text NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (id, version, locale)
);

-- The last index published, of all and on each partition: a reader that sees a gap repairs.
CREATE TABLE relay_cursor (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    idx bigint NOT NULL
);

CREATE TABLE partition_head (
    partition smallint PRIMARY KEY,
    idx bigint NOT NULL
);

-- What decisions relied on, and what was wrong with it: folded from the stream DECISIONS.
CREATE TABLE reliance (
    decision_id text NOT NULL,
    purpose text NOT NULL,
    support_idx bigint,
    subject_id text,
    basis_idx bigint NOT NULL,
    at_us bigint NOT NULL,
    decided_us bigint NOT NULL,
    PRIMARY KEY (decision_id, purpose)
);
CREATE INDEX reliance_support ON reliance (support_idx);
CREATE INDEX reliance_subject ON reliance (subject_id);
CREATE INDEX reliance_decided ON reliance (decided_us);

CREATE TABLE finding (
    decision_id text NOT NULL,
    rule text NOT NULL,
    detail text NOT NULL,
    at_us bigint NOT NULL,
    PRIMARY KEY (decision_id, rule)
);
CREATE INDEX finding_at ON finding (at_us);

CREATE TABLE fold_position (
    stream text NOT NULL,
    partition integer NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    PRIMARY KEY (stream, partition)
);

CREATE TABLE erasure_case (
    case_id text PRIMARY KEY,
    subject_id text,
    status text NOT NULL,
    ground text NOT NULL,
    requested_us bigint NOT NULL,
    requested_by text NOT NULL,
    hold_until_us bigint,
    retain_until_us bigint,
    decisions jsonb NOT NULL DEFAULT '[]',
    erasure_idx bigint,
    certificate bytea
);
CREATE INDEX erasure_case_subject ON erasure_case (subject_id);
CREATE INDEX erasure_case_entry ON erasure_case (erasure_idx);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger only grows: % on % is refused', tg_op, tg_table_name USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION only_the_eraser() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'consent_eraser' THEN
        RAISE EXCEPTION 'only the eraser deletes events' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER only_grows BEFORE UPDATE ON log_head FOR EACH ROW WHEN (
    new.ledger_id <> old.ledger_id OR new.epoch < old.epoch OR new.size < old.size OR new.recorded_us < old.recorded_us
    OR new.registry_idx < old.registry_idx OR (new.registry_idx IS NULL AND old.registry_idx IS NOT NULL)
) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_grows BEFORE UPDATE ON log_tile FOR EACH ROW WHEN (
    new.level <> old.level OR new.n <> old.n OR substring(new.hashes FROM 1 FOR octet_length(old.hashes)) <> old.hashes
) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_grows BEFORE UPDATE ON relay_cursor FOR EACH ROW WHEN (new.idx < old.idx) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_grows BEFORE UPDATE ON partition_head FOR EACH ROW WHEN (
    new.partition <> old.partition OR new.idx < old.idx
) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays_erased BEFORE UPDATE ON subject_state FOR EACH ROW WHEN (
    new.subject_id <> old.subject_id OR (old.status = 'ERASED' AND new.status <> 'ERASED')
) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_subjects BEFORE DELETE ON event FOR EACH ROW WHEN (old.class <> 1) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_the_eraser BEFORE DELETE ON event FOR EACH STATEMENT EXECUTE FUNCTION only_the_eraser();
CREATE TRIGGER stays BEFORE UPDATE OR TRUNCATE ON event FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON log_head FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON log_tile FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON subject_state FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON relay_cursor FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON partition_head FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_epoch FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE OR TRUNCATE ON log_entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoint FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE OR TRUNCATE ON registry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE OR TRUNCATE ON notice FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One role for one job. `consent`, which has by default every row right in the schema, folds decisions, keeps cases, and reads.
REVOKE ALL ON ALL TABLES IN SCHEMA consent FROM consent;
GRANT SELECT ON
log_head, ledger_epoch, log_entry, log_tile, checkpoint, event, subject_state, registry, notice, reliance, finding, fold_position, erasure_case
TO consent;
GRANT INSERT ON reliance, finding, fold_position, erasure_case TO consent;
GRANT UPDATE ON fold_position, erasure_case TO consent;

GRANT SELECT ON
log_head, ledger_epoch, log_entry, log_tile, checkpoint, event, subject_state, registry, notice, relay_cursor, partition_head, erasure_case
TO consent_writer;
GRANT INSERT ON log_head, ledger_epoch, log_entry, log_tile, event, subject_state, registry, notice, relay_cursor, partition_head TO consent_writer;
GRANT UPDATE ON log_head, log_tile, subject_state, relay_cursor, partition_head TO consent_writer;

GRANT SELECT ON
log_head, ledger_epoch, log_entry, log_tile, checkpoint, event, subject_state, registry, notice, reliance, finding, erasure_case
TO consent_reader, consent_auditor;

GRANT SELECT ON log_head, ledger_epoch, log_entry, log_tile, checkpoint TO consent_signer;
GRANT INSERT ON checkpoint TO consent_signer;

GRANT SELECT ON log_head, event, subject_state, reliance, erasure_case TO consent_eraser;
GRANT DELETE ON event TO consent_eraser;
GRANT UPDATE ON subject_state TO consent_eraser;
GRANT UPDATE (subject_id) ON reliance, erasure_case TO consent_eraser;

-- migrate:down
