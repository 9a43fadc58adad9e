-- migrate:up
-- A subject; `survivor` is the one that answers for it, over any chain of links. `partition` is its key's on the bus.
CREATE TABLE subject (
    subject_id uuid PRIMARY KEY,
    survivor uuid REFERENCES subject,
    partition smallint NOT NULL,
    created_at_us bigint NOT NULL
);
CREATE INDEX subject_survivor ON subject (survivor) WHERE survivor IS NOT NULL;

-- What points to a subject: the HMAC of the value, never the value. It stays with the subject that it was given first.
CREATE TABLE identifier (
    kind text NOT NULL,
    digest bytea NOT NULL,
    subject_id uuid NOT NULL REFERENCES subject,
    shared boolean NOT NULL DEFAULT false,
    PRIMARY KEY (kind, digest)
);
CREATE INDEX identifier_subject ON identifier (subject_id);

-- The merges in force; removing a row is the inverse of the merge.
CREATE TABLE link (
    absorbed uuid PRIMARY KEY REFERENCES subject,
    survivor uuid NOT NULL REFERENCES subject,
    evidence text NOT NULL,
    request_id text NOT NULL,
    linked_at_us bigint NOT NULL
);

-- How far each partition of BANK_EVENTS was folded, and by whose epoch.
CREATE TABLE partition (
    partition smallint PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0,
    epoch bigint NOT NULL DEFAULT 0
);
INSERT INTO partition (partition) SELECT generate_series(0, 63);

-- Events that were folded, by a digest of their id: what makes a repeat harmless after the stream has forgotten it.
CREATE TABLE folded_event (event_key bytea PRIMARY KEY);

-- The fold: rows of 32 days, and one (-1) with the registers. `version` is the stream sequence that changed the row last; it grows
-- with every change of a subject. Room is left in pages, so that a new version stays in its page.
CREATE TABLE fold (
    subject_id uuid NOT NULL,
    segment integer NOT NULL,
    version bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (subject_id, segment)
) WITH (fillfactor = 70);

-- Subjects that were forgotten: nothing is folded for them again. `request_id` makes the erasure repeatable.
CREATE TABLE tombstone (
    subject_id uuid PRIMARY KEY,
    request_id text NOT NULL,
    rows_removed bigint NOT NULL,
    erased_at_us bigint NOT NULL
);

CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    subject text NOT NULL,
    envelope bytea NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now()
);

-- migrate:down
