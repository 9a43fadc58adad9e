-- Decisions by id, and which outcomes are known.

-- name: ensure_month(at_ms)!
-- Make the partition of a month.
SELECT ensure_month(:at_ms);

-- name: read_subject(subject_id)!
-- Wait for whoever forgets the subject, until the transaction ends.
SELECT pg_advisory_xact_lock_shared(hashtextextended('orchestration.forget:' || :subject_id::text, 0));

-- name: own_subject(subject_id)!
-- Wait for whoever archives a decision of the subject, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('orchestration.forget:' || :subject_id::text, 0));

-- name: archive(decision_id, now_ms, subject_id, channel, record, digest, sequence)!
-- Keep a decision; a repeat changes nothing. Of a forgotten subject only the digest is kept.
INSERT INTO decision (decision_id, now_ms, subject_id, channel, record, digest, sequence)
SELECT
    :decision_id::text,
    :now_ms::bigint,
    CASE WHEN forgotten.subject_id IS NULL THEN :subject_id::text END,
    :channel::text,
    CASE WHEN forgotten.subject_id IS NULL THEN :record::bytea END,
    :digest::bytea,
    :sequence::bigint
FROM (SELECT :subject_id::text AS subject_id) AS asked
LEFT JOIN forgotten ON forgotten.subject_id = asked.subject_id
ON CONFLICT DO NOTHING;

-- name: find(decision_ids)
-- Decisions by id; the first where an id was used again after its window.
SELECT DISTINCT ON (decision_id) decision_id, record, digest, sequence
FROM decision
WHERE decision_id = ANY (:decision_ids::text [])
ORDER BY decision_id, now_ms;

-- name: note_forgotten(subject_id)!
-- Remember that a subject is erased.
INSERT INTO forgotten (subject_id) VALUES (:subject_id) ON CONFLICT DO NOTHING;

-- name: forget(subject_id)!
-- Make a subject's decisions unreadable; digests stay.
UPDATE decision SET record = NULL, subject_id = NULL WHERE subject_id = :subject_id;

-- name: known_outcomes(outcome_ids)
-- Outcomes that were accepted before.
SELECT outcome_id FROM outcome WHERE outcome_id = ANY (:outcome_ids::text []);

-- name: add_outcomes(outcome_ids, recorded_at_ms)!
-- Remember outcomes.
INSERT INTO outcome (outcome_id, recorded_at_ms)
SELECT unnest(:outcome_ids::text []), :recorded_at_ms::bigint
ON CONFLICT DO NOTHING;
