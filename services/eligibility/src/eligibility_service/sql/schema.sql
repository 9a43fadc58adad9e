CREATE SCHEMA eligibility;

CREATE TABLE eligibility.contact_event (
    outcome_id text NOT NULL,
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

CREATE TABLE eligibility.contact_subject (
    subject_id text NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    forgotten boolean DEFAULT false NOT NULL
);

CREATE TABLE eligibility.reservation (
    reservation_id uuid DEFAULT gen_random_uuid() NOT NULL,
    decision_id text NOT NULL,
    item text NOT NULL,
    subject_id text NOT NULL,
    action text NOT NULL,
    grp text NOT NULL,
    issue text NOT NULL,
    channel text NOT NULL,
    class text NOT NULL,
    state text DEFAULT 'live'::text NOT NULL,
    at_ms bigint NOT NULL,
    expires_ms bigint NOT NULL,
    CONSTRAINT reservation_state_check CHECK ((state = ANY (ARRAY['live'::text, 'committed'::text, 'released'::text])))
);

ALTER TABLE ONLY eligibility.contact_event
    ADD CONSTRAINT contact_event_pkey PRIMARY KEY (outcome_id);

ALTER TABLE ONLY eligibility.contact_subject
    ADD CONSTRAINT contact_subject_pkey PRIMARY KEY (subject_id);

ALTER TABLE ONLY eligibility.reservation
    ADD CONSTRAINT reservation_decision_id_item_key UNIQUE (decision_id, item);

ALTER TABLE ONLY eligibility.reservation
    ADD CONSTRAINT reservation_pkey PRIMARY KEY (reservation_id);

CREATE INDEX contact_event_by_replaced ON eligibility.contact_event USING btree (replaces) WHERE (replaces IS NOT NULL);

CREATE INDEX contact_event_by_subject ON eligibility.contact_event USING btree (subject_id, at_ms);

CREATE INDEX contact_event_by_time ON eligibility.contact_event USING brin (at_ms);

CREATE INDEX reservation_by_subject ON eligibility.reservation USING btree (subject_id, expires_ms) WHERE (state = 'live'::text);
