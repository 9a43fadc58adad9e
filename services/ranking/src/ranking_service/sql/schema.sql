CREATE SCHEMA ranking;

CREATE TABLE ranking.forget_request (
    id text NOT NULL,
    rows_removed bigint NOT NULL,
    snapshot_version bigint NOT NULL
);

CREATE TABLE ranking.learner_decision (
    decision_id text NOT NULL,
    state text NOT NULL,
    subject_id text,
    channel text,
    known_ms bigint NOT NULL,
    arm text,
    snapshot_version bigint,
    CONSTRAINT learner_decision_state_check CHECK ((state = ANY (ARRAY['AWAITED'::text, 'LEARNABLE'::text, 'CLOSED'::text])))
);

CREATE TABLE ranking.learner_delta (
    seq bigint NOT NULL,
    model text NOT NULL,
    action text NOT NULL,
    context text NOT NULL,
    week bigint NOT NULL,
    trials bigint NOT NULL,
    positives bigint NOT NULL
);

ALTER TABLE ranking.learner_delta ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ranking.learner_delta_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE ranking.learner_item (
    decision_id text NOT NULL,
    action text NOT NULL,
    placement text NOT NULL,
    slot integer NOT NULL,
    model text NOT NULL,
    context text NOT NULL,
    positive_kind text NOT NULL,
    window_ms bigint NOT NULL,
    week bigint,
    label boolean
);

CREATE TABLE ranking.learner_outcome (
    outcome_id text NOT NULL,
    decision_id text NOT NULL,
    action text NOT NULL,
    kind text NOT NULL,
    at_ms bigint NOT NULL,
    replaces text NOT NULL
);

CREATE TABLE ranking.learner_position (
    stream text NOT NULL,
    partition integer NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL
);

CREATE TABLE ranking.learner_state (
    model text NOT NULL,
    action text NOT NULL,
    context text NOT NULL,
    week bigint NOT NULL,
    trials bigint NOT NULL,
    positives bigint NOT NULL
);

CREATE TABLE ranking.snapshot (
    version bigint NOT NULL,
    digest text NOT NULL,
    as_of_ms bigint NOT NULL,
    body bytea NOT NULL,
    published boolean DEFAULT false NOT NULL
);

CREATE TABLE ranking.unlearned (
    subject_id text NOT NULL,
    channel text NOT NULL,
    until_ms bigint NOT NULL,
    ledger_index bigint NOT NULL,
    noted_ms bigint NOT NULL
);

ALTER TABLE ONLY ranking.forget_request
    ADD CONSTRAINT forget_request_pkey PRIMARY KEY (id);

ALTER TABLE ONLY ranking.learner_decision
    ADD CONSTRAINT learner_decision_pkey PRIMARY KEY (decision_id);

ALTER TABLE ONLY ranking.learner_delta
    ADD CONSTRAINT learner_delta_pkey PRIMARY KEY (seq);

ALTER TABLE ONLY ranking.learner_item
    ADD CONSTRAINT learner_item_pkey PRIMARY KEY (decision_id, action);

ALTER TABLE ONLY ranking.learner_outcome
    ADD CONSTRAINT learner_outcome_pkey PRIMARY KEY (outcome_id);

ALTER TABLE ONLY ranking.learner_position
    ADD CONSTRAINT learner_position_pkey PRIMARY KEY (stream, partition);

ALTER TABLE ONLY ranking.learner_state
    ADD CONSTRAINT learner_state_pkey PRIMARY KEY (model, action, context, week);

ALTER TABLE ONLY ranking.snapshot
    ADD CONSTRAINT snapshot_pkey PRIMARY KEY (version);

ALTER TABLE ONLY ranking.unlearned
    ADD CONSTRAINT unlearned_pkey PRIMARY KEY (subject_id, channel);

CREATE INDEX learner_decision_passing ON ranking.learner_decision USING btree (known_ms) WHERE (state <> 'LEARNABLE'::text);

CREATE INDEX learner_decision_subject ON ranking.learner_decision USING btree (subject_id) WHERE (subject_id IS NOT NULL);

CREATE INDEX learner_outcome_item ON ranking.learner_outcome USING btree (decision_id, action);

CREATE INDEX snapshot_unpublished ON ranking.snapshot USING btree (version) WHERE (NOT published);

ALTER TABLE ONLY ranking.learner_item
    ADD CONSTRAINT learner_item_decision_id_fkey FOREIGN KEY (decision_id) REFERENCES ranking.learner_decision(decision_id) ON DELETE CASCADE;

ALTER TABLE ONLY ranking.learner_outcome
    ADD CONSTRAINT learner_outcome_decision_id_fkey FOREIGN KEY (decision_id) REFERENCES ranking.learner_decision(decision_id) ON DELETE CASCADE;
