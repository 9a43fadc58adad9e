-- Roles and schema of one service or store, idempotent. Run it in the database, in the transaction that first did
--   SELECT set_config('provision.schema', 'consent', true), set_config('provision.runner', 'consent', true),
--          set_config('provision.passwords', '{"consent_owner": "...", "consent": "...", "consent_reader": null}', true);
-- The owner is "<schema>_owner"; the runner, when there is one, may read and write every row. The other roles get what migrations grant.
-- A role without a password is made, and cannot log in. The administrator needs CREATEROLE and CREATE on the database, not superuser.
DO $provision$
DECLARE
    schema_name text := current_setting('provision.schema');
    owner text := schema_name || '_owner';
    runner text := nullif(current_setting('provision.runner'), '');
    role text;
    password text;
BEGIN
    -- Roles belong to the whole server: two provisioning jobs at once would collide.
    PERFORM pg_advisory_xact_lock(hashtextextended('assent.provision', 0));

    FOR role, password IN SELECT * FROM jsonb_each_text(current_setting('provision.passwords')::jsonb) LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I', role);
        END IF;
        IF password IS NOT NULL THEN
            EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', role, password);
        END IF;
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = %I', role, current_database(), schema_name);
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
    END LOOP;

    -- A migration may create further roles of its service (readers, signers); since PostgreSQL 16 it can touch no others.
    EXECUTE format('ALTER ROLE %I CREATEROLE', owner);
    -- With the grant option, so that it may let them in.
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I WITH GRANT OPTION', current_database(), owner);
    EXECUTE format('GRANT %I TO CURRENT_USER WITH INHERIT TRUE, SET TRUE', owner);

    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION %I', schema_name, owner);
    FOR role IN SELECT * FROM jsonb_object_keys(current_setting('provision.passwords')::jsonb) LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema_name, role);
    END LOOP;
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE EXECUTE ON ROUTINES FROM PUBLIC', owner);
    IF runner IS NOT NULL THEN
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I', owner, schema_name, runner);
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT USAGE, SELECT ON SEQUENCES TO %I', owner, schema_name, runner);
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT EXECUTE ON ROUTINES TO %I', owner, schema_name, runner);
    END IF;
END
$provision$;
