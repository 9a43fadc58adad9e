-- migrate:up
CREATE TABLE contact_subject (
    subject_id text PRIMARY KEY,
    version bigint NOT NULL DEFAULT 0,
    forgotten boolean NOT NULL DEFAULT false
);

CREATE TABLE contact_event (
    outcome_id text PRIMARY KEY,
    replaces text,
    decision_id text NOT NULL,
    subject_id text NOT NULL,
    action text NOT NULL,
    grp text NOT NULL,
    issue text NOT NULL,
    channel text NOT NULL,
    class text NOT NULL,
    outcome text NOT NULL,
    at_ms bigint NOT NULL
);
CREATE INDEX contact_event_by_subject ON contact_event (subject_id, at_ms);
CREATE INDEX contact_event_by_time ON contact_event USING brin (at_ms);
CREATE INDEX contact_event_by_replaced ON contact_event (replaces) WHERE replaces IS NOT NULL;

CREATE TABLE reservation (
    reservation_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    decision_id text NOT NULL,
    item text NOT NULL,
    subject_id text NOT NULL,
    action text NOT NULL,
    grp text NOT NULL,
    issue text NOT NULL,
    channel text NOT NULL,
    class text NOT NULL,
    state text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'committed', 'released')),
    at_ms bigint NOT NULL,
    expires_ms bigint NOT NULL,
    UNIQUE (decision_id, item)
);
CREATE INDEX reservation_by_subject ON reservation (subject_id, expires_ms) WHERE state = 'live';

-- migrate:down
