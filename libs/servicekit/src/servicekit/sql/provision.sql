-- Roles and schema of one service, idempotent. Run it in the service's database, in the transaction that first did
--   SELECT set_config('provision.service', 'consent', true),
--          set_config('provision.owner_password', '...', true), set_config('provision.password', '...', true);
-- The administrator needs CREATEROLE and CREATE on the database, not superuser.
DO $provision$
DECLARE
    service text := current_setting('provision.service');
    owner text := service || '_owner';
    role text;
    password text;
BEGIN
    -- Roles belong to the whole server: two provisioning jobs at once would collide.
    PERFORM pg_advisory_xact_lock(hashtextextended('assent.provision', 0));

    FOR role, password IN VALUES
        (owner, current_setting('provision.owner_password')),
        (service, current_setting('provision.password'))
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I', role);
        END IF;
        EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', role, password);
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = %I', role, current_database(), service);
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
    END LOOP;

    -- A migration may create further roles of its service (readers, signers); since PostgreSQL 16 it can touch no others.
    EXECUTE format('ALTER ROLE %I CREATEROLE', owner);
    -- With the grant option, so that it may let them in.
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I WITH GRANT OPTION', current_database(), owner);
    EXECUTE format('GRANT %I TO CURRENT_USER WITH INHERIT TRUE, SET TRUE', owner);

    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION %I', service, owner);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', service, service);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE EXECUTE ON ROUTINES FROM PUBLIC', owner);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I', owner, service, service);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT USAGE, SELECT ON SEQUENCES TO %I', owner, service, service);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT EXECUTE ON ROUTINES TO %I', owner, service, service);
END
$provision$;
