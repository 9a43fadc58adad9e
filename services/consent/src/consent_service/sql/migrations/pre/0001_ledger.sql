-- migrate:up

-- The end of the ledger, one row. Each write locks it, so that indices have no gap and recorded times never decrease.
CREATE TABLE log_head (
    ledger_id text PRIMARY KEY,
    only_one boolean NOT NULL DEFAULT true UNIQUE CHECK (only_one),
    epoch bigint NOT NULL CHECK (epoch > 0),
    size bigint NOT NULL CHECK (size > 0),
    recorded_us bigint NOT NULL,
    registry_idx bigint,
    registry_digest text NOT NULL DEFAULT ''
);

-- Where each epoch of the writer began.
CREATE TABLE ledger_epoch (
    epoch bigint PRIMARY KEY,
    start_size bigint NOT NULL
);

-- The entries. Bodies are canonical JSON; free text is not kept before it can be sealed.
CREATE TABLE entry (
    idx bigint PRIMARY KEY CHECK (idx >= 0),
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
    body text NOT NULL
);
CREATE INDEX entry_subject ON entry (subject_id, idx) WHERE subject_id IS NOT NULL;

-- The fold of a subject's entries: a check reads one row. `root` is the subject that answers.
CREATE TABLE subject_state (
    subject_id text PRIMARY KEY,
    root text NOT NULL,
    survivor text,
    link bigint,
    members text [] NOT NULL,
    last_idx bigint NOT NULL,
    statements text NOT NULL
) WITH (fillfactor = 70);

-- What was answered to each request, so that a repeat gets the same.
CREATE TABLE request (
    request_id text PRIMARY KEY,
    content_hash bytea NOT NULL,
    result text NOT NULL
);

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

-- The last index published on each partition: a reader that sees a gap repairs.
CREATE TABLE partition_head (
    partition smallint PRIMARY KEY,
    idx bigint NOT NULL
);

CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    subject text NOT NULL,
    envelope bytea NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger only grows: % on % is refused', tg_op, tg_table_name USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION head_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.ledger_id <> old.ledger_id OR new.epoch < old.epoch OR new.size < old.size OR new.recorded_us < old.recorded_us THEN
        RAISE EXCEPTION 'the head of the ledger only grows' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER only_grows BEFORE UPDATE ON log_head FOR EACH ROW EXECUTE FUNCTION head_only_grows();
CREATE TRIGGER only_grows_delete BEFORE DELETE OR TRUNCATE ON log_head FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_epoch FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON request FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON registry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON notice FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The role that runs has by default every row right in the schema; here it may add, and change only what is derived.
REVOKE ALL ON log_head, ledger_epoch, entry, subject_state, request, registry, notice, partition_head FROM consent;
GRANT SELECT, INSERT ON log_head, ledger_epoch, entry, subject_state, request, registry, notice, partition_head TO consent;
GRANT UPDATE ON log_head, subject_state, partition_head TO consent;

-- migrate:down
