-- migrate:up

-- A case covers all subjects that are one person, and there is one case at a time for each. Its subjects are forgotten when it is certified.
ALTER TABLE erasure_case
DROP COLUMN erasure_idx,
DROP COLUMN subject_id,
ADD COLUMN people int NOT NULL DEFAULT 0,
ADD COLUMN unsealed boolean NOT NULL DEFAULT false,
ADD COLUMN started_us bigint,
ADD COLUMN died_us bigint,
ADD COLUMN erasures jsonb NOT NULL DEFAULT '[]',
ADD COLUMN deleted jsonb NOT NULL DEFAULT '{}',
ADD COLUMN exports jsonb NOT NULL DEFAULT '[]',
ADD COLUMN certificate_kid text,
ADD COLUMN certificate_signature bytea,
ADD COLUMN revision int NOT NULL DEFAULT 0;
CREATE INDEX erasure_case_due ON erasure_case (case_id) WHERE status NOT IN ('DENIED', 'CERTIFIED') OR NOT unsealed AND status = 'DENIED';

CREATE TABLE erasure_subject (
    case_id text NOT NULL REFERENCES erasure_case,
    subject_id text NOT NULL,
    is_open boolean NOT NULL DEFAULT true,
    PRIMARY KEY (case_id, subject_id)
);
CREATE UNIQUE INDEX erasure_subject_open ON erasure_subject (subject_id) WHERE is_open;

-- Copies of a person's data that were handed out: a case lists when.
CREATE TABLE handed_out (
    export_id text PRIMARY KEY,
    subject_id text,
    at_us bigint NOT NULL,
    handed_by text NOT NULL
);
CREATE INDEX handed_out_subject ON handed_out (subject_id);

-- Whom an erasure is about, until the stream was told.
CREATE INDEX subject_state_erased ON subject_state (last_idx) WHERE status = 'ERASED';

REVOKE ALL ON erasure_subject, handed_out FROM consent;
GRANT SELECT, INSERT, UPDATE ON erasure_subject TO consent;
GRANT SELECT, INSERT ON handed_out TO consent;
GRANT SELECT, DELETE ON erasure_subject TO consent_eraser;
GRANT SELECT ON handed_out, relay_cursor TO consent_eraser;
GRANT INSERT ON subject_state TO consent_eraser;
GRANT UPDATE (subject_id) ON handed_out TO consent_eraser;
GRANT UPDATE (deleted, exports) ON erasure_case TO consent_eraser;
GRANT SELECT ON erasure_subject, handed_out TO consent_auditor;

-- migrate:down
