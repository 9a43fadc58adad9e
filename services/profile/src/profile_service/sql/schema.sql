CREATE SCHEMA profile;

CREATE TABLE profile.fold (
    subject_id uuid NOT NULL,
    segment integer NOT NULL,
    version bigint NOT NULL,
    body text NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE profile.folded_event (
    event_key bytea NOT NULL
);

CREATE TABLE profile.identifier (
    kind text NOT NULL,
    digest bytea NOT NULL,
    subject_id uuid NOT NULL,
    shared boolean DEFAULT false NOT NULL
);

CREATE TABLE profile.link (
    absorbed uuid NOT NULL,
    survivor uuid NOT NULL,
    evidence text NOT NULL,
    request_id text NOT NULL,
    linked_at_us bigint NOT NULL
);

CREATE TABLE profile.outbox (
    "position" bigint NOT NULL,
    event_id text NOT NULL,
    subject text NOT NULL,
    envelope bytea NOT NULL,
    added_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE profile.outbox ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME profile.outbox_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE profile.partition (
    partition smallint NOT NULL,
    "position" bigint DEFAULT 0 NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL
);

CREATE TABLE profile.subject (
    subject_id uuid NOT NULL,
    survivor uuid,
    partition smallint NOT NULL,
    created_at_us bigint NOT NULL
);

CREATE TABLE profile.tombstone (
    subject_id uuid NOT NULL,
    request_id text NOT NULL,
    rows_removed bigint NOT NULL,
    erased_at_us bigint NOT NULL
);

ALTER TABLE ONLY profile.fold
    ADD CONSTRAINT fold_pkey PRIMARY KEY (subject_id, segment);

ALTER TABLE ONLY profile.folded_event
    ADD CONSTRAINT folded_event_pkey PRIMARY KEY (event_key);

ALTER TABLE ONLY profile.identifier
    ADD CONSTRAINT identifier_pkey PRIMARY KEY (kind, digest);

ALTER TABLE ONLY profile.link
    ADD CONSTRAINT link_pkey PRIMARY KEY (absorbed);

ALTER TABLE ONLY profile.outbox
    ADD CONSTRAINT outbox_event_id_key UNIQUE (event_id);

ALTER TABLE ONLY profile.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY profile.partition
    ADD CONSTRAINT partition_pkey PRIMARY KEY (partition);

ALTER TABLE ONLY profile.subject
    ADD CONSTRAINT subject_pkey PRIMARY KEY (subject_id);

ALTER TABLE ONLY profile.tombstone
    ADD CONSTRAINT tombstone_pkey PRIMARY KEY (subject_id);

CREATE INDEX identifier_subject ON profile.identifier USING btree (subject_id);

CREATE INDEX subject_survivor ON profile.subject USING btree (survivor) WHERE (survivor IS NOT NULL);

ALTER TABLE ONLY profile.identifier
    ADD CONSTRAINT identifier_subject_id_fkey FOREIGN KEY (subject_id) REFERENCES profile.subject(subject_id);

ALTER TABLE ONLY profile.link
    ADD CONSTRAINT link_absorbed_fkey FOREIGN KEY (absorbed) REFERENCES profile.subject(subject_id);

ALTER TABLE ONLY profile.link
    ADD CONSTRAINT link_survivor_fkey FOREIGN KEY (survivor) REFERENCES profile.subject(subject_id);

ALTER TABLE ONLY profile.subject
    ADD CONSTRAINT subject_survivor_fkey FOREIGN KEY (survivor) REFERENCES profile.subject(subject_id);
