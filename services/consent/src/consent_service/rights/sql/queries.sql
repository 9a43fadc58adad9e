-- name: add_case(case_id, ground, requested_us, requested_by, people)!
-- A new case.
INSERT INTO erasure_case (case_id, status, ground, requested_us, requested_by, people)
VALUES (:case_id, 'REQUESTED', :ground, :requested_us, :requested_by, :people);

-- name: cover(case_id, subjects)!
-- Subjects that a case covers; a unique violation where another open case does.
INSERT INTO erasure_subject (case_id, subject_id)
SELECT :case_id, s.subject_id FROM unnest(:subjects::text []) AS s (subject_id) ORDER BY s.subject_id
ON CONFLICT (case_id, subject_id) DO NOTHING;

-- name: uncover(case_id)!
-- Another case may cover these subjects from now on.
UPDATE erasure_subject SET is_open = false WHERE case_id = :case_id;

-- name: read_case(case_id)^
-- A case and whom it covers.
SELECT
    c.case_id, c.status, c.ground, c.requested_us, c.requested_by, c.hold_until_us, c.retain_until_us, c.decisions, c.people, c.unsealed,
    c.started_us, c.died_us, c.erasures, c.deleted, c.exports, c.certificate, c.certificate_kid, c.certificate_signature, c.revision,
    ARRAY(SELECT s.subject_id FROM erasure_subject AS s WHERE s.case_id = c.case_id ORDER BY s.subject_id) AS subjects
FROM erasure_case AS c WHERE c.case_id = :case_id;

-- name: open_case_of(subjects)$
-- The open case that covers one of these subjects.
SELECT s.case_id FROM erasure_subject AS s WHERE s.is_open AND s.subject_id = ANY(:subjects::text []) ORDER BY s.case_id LIMIT 1;

-- name: due_cases(now_us)
-- Cases in which the service has something to do; those that wait for people are not among them.
SELECT c.case_id FROM erasure_case AS c
WHERE
    (c.status NOT IN ('DENIED', 'CERTIFIED') OR NOT c.unsealed AND c.status = 'DENIED')
    AND c.status NOT IN ('SEALED', 'HELD')
    AND (c.status <> 'APPROVED' OR coalesce(c.retain_until_us, 0) <= :now_us)
ORDER BY c.case_id;

-- name: change_case(case_id, revision, status, hold_until_us, retain_until_us, decisions, people, unsealed, started_us, died_us, erasures, certificate, kid, signature)$
-- The next revision of a case; no value when somebody was first.
UPDATE erasure_case SET
    revision = revision + 1,
    status = :status,
    hold_until_us = :hold_until_us,
    retain_until_us = :retain_until_us,
    decisions = :decisions::jsonb,
    people = :people,
    unsealed = :unsealed,
    started_us = :started_us,
    died_us = :died_us,
    erasures = :erasures::jsonb,
    certificate = :certificate,
    certificate_kid = :kid,
    certificate_signature = :signature
WHERE case_id = :case_id AND revision = :revision
RETURNING revision;

-- name: add_handed_out(export_id, subject_id, at_us, handed_by)!
-- A copy is about to be handed out.
INSERT INTO handed_out (export_id, subject_id, at_us, handed_by) VALUES (:export_id, :subject_id, :at_us, :handed_by);

-- name: forget_events(subjects)$
-- The bodies of everything that was ever said about these subjects; how many there were.
WITH gone AS (DELETE FROM event WHERE subject_id = ANY(:subjects::text []) RETURNING idx) SELECT count(*) FROM gone;

-- name: entomb(subjects)!
-- Nothing is left in a state but that the subject is erased; where that is written stays until the stream knows it.
INSERT INTO subject_state AS old (subject_id, status, root, members, seq, last_idx, last_leaf_hash, statements)
SELECT s.subject_id, 'ERASED', s.subject_id, ARRAY[s.subject_id], 0, 0, decode(repeat('00', 32), 'hex'), '[]'
FROM unnest(:subjects::text []) AS s (subject_id) ORDER BY s.subject_id
ON CONFLICT (subject_id) DO UPDATE SET
    status = 'ERASED', root = excluded.root, survivor = NULL, link = NULL, members = excluded.members, sealed = '{}', seq = 0,
    last_idx = CASE WHEN old.status = 'ERASED' THEN old.last_idx ELSE 0 END,
    last_leaf_hash = excluded.last_leaf_hash, statements = '[]'
WHERE (old.status, old.root, old.seq, old.statements) IS DISTINCT FROM ('ERASED', excluded.root, 0, '[]');

-- name: forget_reliance(subjects)$
-- Decisions say no longer whom they were about; how many did.
WITH gone AS (UPDATE reliance SET subject_id = NULL WHERE subject_id = ANY(:subjects::text []) RETURNING decision_id)
SELECT count(*) FROM gone;

-- name: forget_exports(subjects)
-- Copies that were handed out say no longer of whom; when they were.
UPDATE handed_out SET subject_id = NULL WHERE subject_id = ANY(:subjects::text []) RETURNING at_us;

-- name: account(case_id, events, reliances, handed_out, exports)!
-- Add to what was deleted for a case: deleting again finds nothing and changes nothing.
UPDATE erasure_case SET
    deleted = jsonb_build_object(
        'event', coalesce((deleted ->> 'event')::bigint, 0) + :events::bigint,
        'handed_out', coalesce((deleted ->> 'handed_out')::bigint, 0) + :handed_out::bigint,
        'reliance', coalesce((deleted ->> 'reliance')::bigint, 0) + :reliances::bigint,
        'subject_state', people
    ),
    exports = exports || :exports::jsonb
WHERE case_id = :case_id;

-- name: announced(idx)$
-- Whether the stream was told of everything up to an entry.
SELECT coalesce((SELECT c.idx FROM relay_cursor AS c), -1) >= :idx;

-- name: unlink_tombstones(subjects)!
-- The stream knows: a tombstone no longer says which entry made it.
UPDATE subject_state SET last_idx = 0 WHERE subject_id = ANY(:subjects::text []) AND status = 'ERASED' AND last_idx <> 0;

-- name: forget_case(case_id)!
-- The case no longer says whom it was about.
DELETE FROM erasure_subject WHERE case_id = :case_id;

-- name: erased_subjects(since, most)
-- Tombstones in order: what reconciling compares.
SELECT s.subject_id FROM subject_state AS s WHERE s.status = 'ERASED' AND s.subject_id > :since ORDER BY s.subject_id LIMIT :most;

-- name: leftover_reliance()$
-- What decisions that were folded later said of erased subjects; how many did.
WITH gone AS (
    UPDATE reliance AS r SET subject_id = NULL FROM subject_state AS s
    WHERE s.subject_id = r.subject_id AND s.status = 'ERASED' RETURNING r.decision_id
)
SELECT count(*) FROM gone;

-- name: own_entries(subject_id, after, size, most)
-- A page of a subject's entries with their leaves.
SELECT e.idx, e.epoch, e.kind, e.event_id, e.recorded_us, e.pub, e.nonce, e.sealed, e.notice, e.request_id, e.request_entries, l.leaf
FROM event AS e INNER JOIN log_entry AS l ON l.idx = e.idx
WHERE e.subject_id = :subject_id AND e.idx > :after AND e.idx < :size
ORDER BY e.idx LIMIT :most;

-- name: chain_end(subject_id)$
-- How many entries a subject has.
SELECT s.seq FROM subject_state AS s WHERE s.subject_id = :subject_id;
