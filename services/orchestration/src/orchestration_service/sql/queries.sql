-- Decisions by id, and which outcomes are known.

-- name: ensure_month(at_ms)!
-- Make the partition of a month.
SELECT ensure_month(:at_ms);

-- name: archive(decision_id, now_ms, subject_id, channel, record, digest, sequence)!
-- Keep a decision; a repeat changes nothing.
INSERT INTO decision (decision_id, now_ms, subject_id, channel, record, digest, sequence)
VALUES (:decision_id, :now_ms, :subject_id, :channel, :record, :digest, :sequence)
ON CONFLICT DO NOTHING;

-- name: find(decision_ids)
-- Decisions by id; the first where an id was used again after its window.
SELECT DISTINCT ON (decision_id) decision_id, record, digest, sequence
FROM decision
WHERE decision_id = ANY (:decision_ids::text [])
ORDER BY decision_id, now_ms;

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
