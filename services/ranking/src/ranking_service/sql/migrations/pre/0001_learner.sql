-- migrate:up

-- What is known of a decision. AWAITED: outcomes came first. CLOSED: nothing is learned from it, now or later.
CREATE TABLE learner_decision (
    decision_id text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('AWAITED', 'LEARNABLE', 'CLOSED')),
    subject_id text,
    channel text,
    known_ms bigint NOT NULL,
    arm text,
    snapshot_version bigint
);
CREATE INDEX learner_decision_subject ON learner_decision (subject_id) WHERE subject_id IS NOT NULL;
CREATE INDEX learner_decision_passing ON learner_decision (known_ms) WHERE state <> 'LEARNABLE';

-- One placed action of one decision. Week and label are what it adds to the sums now; null until its impression.
CREATE TABLE learner_item (
    decision_id text NOT NULL REFERENCES learner_decision ON DELETE CASCADE,
    action text NOT NULL,
    placement text NOT NULL,
    slot integer NOT NULL,
    model text NOT NULL,
    context text NOT NULL,
    positive_kind text NOT NULL,
    window_ms bigint NOT NULL,
    week bigint,
    label boolean,
    PRIMARY KEY (decision_id, action)
);

-- Outcomes of items, and those parked until their decision arrives.
CREATE TABLE learner_outcome (
    outcome_id text PRIMARY KEY,
    decision_id text NOT NULL REFERENCES learner_decision ON DELETE CASCADE,
    action text NOT NULL,
    kind text NOT NULL,
    at_ms bigint NOT NULL,
    replaces text NOT NULL
);
CREATE INDEX learner_outcome_item ON learner_outcome (decision_id, action);

-- Contributions that the builder has not added up yet.
CREATE TABLE learner_delta (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text NOT NULL,
    action text NOT NULL,
    context text NOT NULL,
    week bigint NOT NULL,
    trials bigint NOT NULL,
    positives bigint NOT NULL
);

-- The sums.
CREATE TABLE learner_state (
    model text NOT NULL,
    action text NOT NULL,
    context text NOT NULL,
    week bigint NOT NULL,
    trials bigint NOT NULL,
    positives bigint NOT NULL,
    PRIMARY KEY (model, action, context, week)
);

-- How far each stream is folded, and by whose lease.
CREATE TABLE learner_position (
    stream text NOT NULL,
    partition integer NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    PRIMARY KEY (stream, partition)
);

-- Decisions of a subject that must not be learned when they arrive late: up to a time, or resting on an older ledger index.
CREATE TABLE unlearned (
    subject_id text NOT NULL,
    channel text NOT NULL,
    until_ms bigint NOT NULL,
    ledger_index bigint NOT NULL,
    noted_ms bigint NOT NULL,
    PRIMARY KEY (subject_id, channel)
);

-- Answers of ForgetSubject; the id is a hash of request and subject.
CREATE TABLE forget_request (
    id text PRIMARY KEY,
    rows_removed bigint NOT NULL,
    snapshot_version bigint NOT NULL
);

-- Every version, for replay.
CREATE TABLE snapshot (
    version bigint PRIMARY KEY,
    digest text NOT NULL,
    as_of_ms bigint NOT NULL,
    body bytea NOT NULL,
    published boolean NOT NULL DEFAULT FALSE
);
CREATE INDEX snapshot_unpublished ON snapshot (version) WHERE NOT published;

-- migrate:down
