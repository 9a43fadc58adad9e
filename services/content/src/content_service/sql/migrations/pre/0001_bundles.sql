-- migrate:up
CREATE TABLE bundle (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest text NOT NULL UNIQUE CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
    document bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('proposed', 'approved', 'active', 'retired', 'rejected')),
    touches text [] NOT NULL,
    proposed_by text NOT NULL,
    approved_by text [] NOT NULL DEFAULT '{}',
    changed_at_ms bigint NOT NULL
);
CREATE UNIQUE INDEX bundle_one_active ON bundle (state) WHERE state = 'active';

CREATE TABLE killed (
    kind text NOT NULL,
    id text NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE TABLE activation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL
);
INSERT INTO activation (revision) VALUES (0);

CREATE TABLE bundle_event (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest text,
    step text NOT NULL,
    subject text NOT NULL,
    by_whom text NOT NULL,
    why text NOT NULL,
    at_ms bigint NOT NULL
);
REVOKE UPDATE, DELETE, TRUNCATE ON bundle_event FROM content;
REVOKE DELETE, TRUNCATE ON bundle FROM content;

-- migrate:down
