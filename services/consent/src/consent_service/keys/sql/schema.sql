CREATE SCHEMA keys;

CREATE FUNCTION keys.kek_epoch_steps() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION keys.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'keys leave tombstones: % on % is refused', tg_op, tg_table_name USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION keys.subject_key_steps() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE TABLE keys.kek_epoch (
    epoch bigint NOT NULL,
    provider_ref text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    destroyed_at timestamp with time zone,
    CONSTRAINT kek_epoch_check CHECK ((destroyed_at >= created_at)),
    CONSTRAINT kek_epoch_epoch_check CHECK ((epoch > 0))
);

CREATE TABLE keys.subject_key (
    subject_id text NOT NULL,
    wrapped_dek bytea,
    kek_epoch bigint,
    created_at timestamp with time zone NOT NULL,
    destroyed_at timestamp with time zone,
    CONSTRAINT subject_key_check CHECK (((wrapped_dek IS NULL) = (destroyed_at IS NOT NULL))),
    CONSTRAINT subject_key_check1 CHECK (((wrapped_dek IS NULL) OR (kek_epoch IS NOT NULL))),
    CONSTRAINT subject_key_wrapped_dek_check CHECK ((length(wrapped_dek) > 0))
)
WITH (fillfactor='80');

ALTER TABLE ONLY keys.kek_epoch
    ADD CONSTRAINT kek_epoch_pkey PRIMARY KEY (epoch);

ALTER TABLE ONLY keys.kek_epoch
    ADD CONSTRAINT kek_epoch_provider_ref_key UNIQUE (provider_ref);

ALTER TABLE ONLY keys.subject_key
    ADD CONSTRAINT subject_key_pkey PRIMARY KEY (subject_id);

CREATE INDEX subject_key_live ON keys.subject_key USING btree (kek_epoch, subject_id) WHERE (destroyed_at IS NULL);

CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON keys.kek_epoch FOR EACH STATEMENT EXECUTE FUNCTION keys.refuse_change();

CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON keys.subject_key FOR EACH STATEMENT EXECUTE FUNCTION keys.refuse_change();

CREATE TRIGGER steps BEFORE UPDATE ON keys.kek_epoch FOR EACH ROW EXECUTE FUNCTION keys.kek_epoch_steps();

CREATE TRIGGER steps BEFORE UPDATE ON keys.subject_key FOR EACH ROW EXECUTE FUNCTION keys.subject_key_steps();

ALTER TABLE ONLY keys.subject_key
    ADD CONSTRAINT subject_key_kek_epoch_fkey FOREIGN KEY (kek_epoch) REFERENCES keys.kek_epoch(epoch);
