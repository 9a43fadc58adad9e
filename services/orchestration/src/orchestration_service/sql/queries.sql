-- Decisions by id, and which outcomes are known.

-- name: ensure_month(at_ms)!
-- Make the partition of a month.
SELECT ensure_month(:at_ms);

-- name: read_subjects(subject_ids)!
-- Wait for whoever forgets one of the subjects, until the transaction ends. In their order, so that no two wait for each other.
SELECT pg_advisory_xact_lock_shared(hashtextextended('orchestration.forget:' || subject_id, 0))
FROM (SELECT unnest(:subject_ids::text []) AS subject_id) AS asked;

-- name: own_subject(subject_id)!
-- Wait for whoever archives a decision of the subject, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('orchestration.forget:' || :subject_id::text, 0));

-- name: archive(decision_ids, now_ms, subject_ids, channels, records, digests, sequences)!
-- Keep decisions; a repeat changes nothing. Of a forgotten subject only the digest is kept.
INSERT INTO decision (decision_id, now_ms, subject_id, channel, record, digest, sequence)
SELECT
    asked.decision_id,
    asked.now_ms,
    CASE WHEN forgotten.subject_id IS NULL THEN asked.subject_id END,
    asked.channel,
    CASE WHEN forgotten.subject_id IS NULL THEN asked.record END,
    asked.digest,
    asked.sequence
FROM unnest(
    :decision_ids::text [],
    :now_ms::bigint [],
    :subject_ids::text [],
    :channels::text [],
    :records::bytea [],
    :digests::bytea [],
    :sequences::bigint []
) AS asked (decision_id, now_ms, subject_id, channel, record, digest, sequence)
LEFT JOIN forgotten ON forgotten.subject_id = asked.subject_id
ORDER BY asked.decision_id, asked.sequence
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
