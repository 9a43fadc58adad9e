CREATE SCHEMA content;

CREATE TABLE content.activation (
    only_row boolean DEFAULT true NOT NULL,
    revision bigint NOT NULL,
    CONSTRAINT activation_only_row_check CHECK (only_row)
);

CREATE TABLE content.bundle (
    number bigint NOT NULL,
    digest text NOT NULL,
    document bytea NOT NULL,
    state text NOT NULL,
    touches text[] NOT NULL,
    proposed_by text NOT NULL,
    approved_by text[] DEFAULT '{}'::text[] NOT NULL,
    changed_at_ms bigint NOT NULL,
    CONSTRAINT bundle_digest_check CHECK ((digest ~ '^sha256:[0-9a-f]{64}$'::text)),
    CONSTRAINT bundle_state_check CHECK ((state = ANY (ARRAY['proposed'::text, 'approved'::text, 'active'::text, 'retired'::text, 'rejected'::text])))
);

CREATE TABLE content.bundle_event (
    number bigint NOT NULL,
    digest text,
    step text NOT NULL,
    subject text NOT NULL,
    by_whom text NOT NULL,
    why text NOT NULL,
    at_ms bigint NOT NULL
);

ALTER TABLE content.bundle_event ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME content.bundle_event_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE content.bundle ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME content.bundle_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE content.killed (
    kind text NOT NULL,
    id text NOT NULL
);

ALTER TABLE ONLY content.activation
    ADD CONSTRAINT activation_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY content.bundle
    ADD CONSTRAINT bundle_digest_key UNIQUE (digest);

ALTER TABLE ONLY content.bundle_event
    ADD CONSTRAINT bundle_event_pkey PRIMARY KEY (number);

ALTER TABLE ONLY content.bundle
    ADD CONSTRAINT bundle_pkey PRIMARY KEY (number);

ALTER TABLE ONLY content.killed
    ADD CONSTRAINT killed_pkey PRIMARY KEY (kind, id);

CREATE UNIQUE INDEX bundle_one_active ON content.bundle USING btree (state) WHERE (state = 'active'::text);
