-- migrate:up

-- Key-encryption keys by number. The key itself is with the provider: a folder, or the bank's KMS.
CREATE TABLE kek_epoch (
    epoch bigint PRIMARY KEY CHECK (epoch > 0),
    provider_ref text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    destroyed_at timestamptz CHECK (destroyed_at >= created_at)
);

-- One row per subject, for ever: a destroyed key leaves its tombstone, so that the subject never gets another one.
CREATE TABLE subject_key (
    subject_id text PRIMARY KEY,
    wrapped_dek bytea CHECK (length(wrapped_dek) > 0),
    kek_epoch bigint REFERENCES kek_epoch,
    created_at timestamptz NOT NULL,
    destroyed_at timestamptz,
    CHECK ((wrapped_dek IS NULL) = (destroyed_at IS NOT NULL)),
    CHECK (wrapped_dek IS NULL OR kek_epoch IS NOT NULL)
) WITH (fillfactor = 80);
CREATE INDEX subject_key_live ON subject_key (kek_epoch, subject_id) WHERE destroyed_at IS NULL;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'keys leave tombstones: % on % is refused', tg_op, tg_table_name USING ERRCODE = 'insufficient_privilege';
END
$$;

-- A live key is re-wrapped under a newer key-encryption key, or destroyed; a tombstone stays as it is.
CREATE FUNCTION subject_key_steps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.destroyed_at IS NOT NULL OR new.subject_id <> old.subject_id OR new.created_at <> old.created_at THEN
        RAISE EXCEPTION 'a destroyed key stays destroyed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF new.destroyed_at IS NULL AND new.kek_epoch <= old.kek_epoch THEN
        RAISE EXCEPTION 'a key is re-wrapped under a newer one' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN new;
END
$$;

-- A key-encryption key is destroyed once, and only when no live key hangs on it.
CREATE FUNCTION kek_epoch_steps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.destroyed_at IS NOT NULL OR new.destroyed_at IS NULL OR (new.epoch, new.provider_ref, new.created_at) <> (old.epoch, old.provider_ref, old.created_at) THEN
        RAISE EXCEPTION 'a key-encryption key is destroyed once' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF EXISTS (SELECT FROM subject_key WHERE kek_epoch = old.epoch AND destroyed_at IS NULL) THEN
        RAISE EXCEPTION 'live keys hang on this key-encryption key' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER steps BEFORE UPDATE ON subject_key FOR EACH ROW EXECUTE FUNCTION subject_key_steps();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON subject_key FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER steps BEFORE UPDATE ON kek_epoch FOR EACH ROW EXECUTE FUNCTION kek_epoch_steps();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON kek_epoch FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- key_user makes and re-wraps keys, and can end none; key_shredder ends keys, and can read none.
GRANT SELECT ON subject_key, kek_epoch TO key_user;
GRANT INSERT (subject_id, wrapped_dek, kek_epoch, created_at) ON subject_key TO key_user;
GRANT UPDATE (wrapped_dek, kek_epoch) ON subject_key TO key_user;
GRANT INSERT (epoch, provider_ref, created_at) ON kek_epoch TO key_user;
GRANT SELECT (subject_id, kek_epoch, created_at, destroyed_at), INSERT (subject_id, created_at, destroyed_at) ON subject_key TO key_shredder;
GRANT UPDATE (wrapped_dek, destroyed_at) ON subject_key TO key_shredder;
GRANT SELECT, UPDATE (destroyed_at) ON kek_epoch TO key_shredder;
GRANT EXECUTE ON FUNCTION refuse_change, subject_key_steps, kek_epoch_steps TO key_user, key_shredder;

-- migrate:down
