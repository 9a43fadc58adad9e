-- Contacts, reservations, and the rows that are locked to count them.

-- name: meet_subjects(subject_ids)!
-- Have a row to lock for each subject.
INSERT INTO contact_subject (subject_id) SELECT unnest(:subject_ids::text []) ON CONFLICT DO NOTHING;

-- name: lock_subjects(subject_ids)
-- Be alone on these subjects, always locked in the same order.
SELECT subject_id, forgotten FROM contact_subject WHERE subject_id = ANY (:subject_ids::text []) ORDER BY subject_id FOR UPDATE;

-- name: changed(subject_ids)!
-- Count a change of these subjects' contact state.
UPDATE contact_subject SET version = version + 1 WHERE subject_id = ANY (:subject_ids::text []);

-- name: versioned_contacts(subject_ids, since_ms, now_ms)
-- What counts, as in `contacts`, and in each row how often the contact state of these subjects changed; one row at least.
SELECT met.version, counted.action, counted.grp, counted.issue, counted.channel, counted.class, counted.outcome, counted.at_ms
FROM (
    SELECT coalesce(sum(version), 0)::bigint AS version FROM contact_subject WHERE subject_id = ANY (:subject_ids::text [])
) AS met
LEFT JOIN (
    SELECT e.action, e.grp, e.issue, e.channel, e.class, e.outcome, e.at_ms
    FROM contact_event AS e
    WHERE e.subject_id = ANY (:subject_ids::text []) AND e.at_ms > :since_ms
        AND NOT EXISTS (SELECT 1 FROM contact_event AS later WHERE later.replaces = e.outcome_id)
    UNION ALL
    SELECT r.action, r.grp, r.issue, r.channel, r.class, 'reserved' AS outcome, r.at_ms
    FROM reservation AS r
    WHERE r.subject_id = ANY (:subject_ids::text []) AND r.state = 'live' AND r.expires_ms > :now_ms
) AS counted ON true
ORDER BY counted.at_ms, counted.action, counted.outcome;

-- name: contacts(subject_ids, since_ms, now_ms)
-- What counts: outcomes that nothing replaced, and reservations that still hold.
SELECT e.action, e.grp, e.issue, e.channel, e.class, e.outcome, e.at_ms
FROM contact_event AS e
WHERE e.subject_id = ANY (:subject_ids::text []) AND e.at_ms > :since_ms
    AND NOT EXISTS (SELECT 1 FROM contact_event AS later WHERE later.replaces = e.outcome_id)
UNION ALL
SELECT r.action, r.grp, r.issue, r.channel, r.class, 'reserved' AS outcome, r.at_ms
FROM reservation AS r
WHERE r.subject_id = ANY (:subject_ids::text []) AND r.state = 'live' AND r.expires_ms > :now_ms
ORDER BY at_ms, action, outcome;

-- name: add_outcome(outcome_id, replaces, decision_id, subject_id, action, grp, issue, channel, class_, outcome, at_ms)!
-- Remember an outcome; a repeat changes nothing.
INSERT INTO contact_event (outcome_id, replaces, decision_id, subject_id, action, grp, issue, channel, class, outcome, at_ms)
VALUES (:outcome_id, :replaces, :decision_id, :subject_id, :action, :grp, :issue, :channel, :class_, :outcome, :at_ms)
ON CONFLICT DO NOTHING;

-- name: commit_reservation(decision_id, action)!
-- The treatment was shown: the outcome counts from now on, and one reservation of it no longer does.
UPDATE reservation SET state = 'committed'
WHERE reservation_id = (
    SELECT r.reservation_id FROM reservation AS r
    WHERE r.decision_id = :decision_id AND r.action = :action AND r.state <> 'committed'
    ORDER BY r.state = 'live' DESC, r.item LIMIT 1
);

-- name: reservations(decision_id, items)
-- Places that a decision has, or had.
SELECT reservation_id, item, subject_id, action, channel, state, expires_ms
FROM reservation
WHERE decision_id = :decision_id AND item = ANY (:items::text []);

-- name: take(decision_id, item, subject_id, action, grp, issue, channel, class_, at_ms, expires_ms)$
-- Hold a place; one that was released or has expired is taken anew.
INSERT INTO reservation (decision_id, item, subject_id, action, grp, issue, channel, class, at_ms, expires_ms)
VALUES (:decision_id, :item, :subject_id, :action, :grp, :issue, :channel, :class_, :at_ms, :expires_ms)
ON CONFLICT (decision_id, item) DO UPDATE SET state = 'live', at_ms = excluded.at_ms, expires_ms = excluded.expires_ms
RETURNING reservation_id;

-- name: release(decision_id, items)
-- Give back what still holds; no items means all.
UPDATE reservation SET state = 'released'
WHERE decision_id = :decision_id AND state = 'live' AND (cardinality(:items::text []) = 0 OR item = ANY (:items::text []))
RETURNING item, subject_id;

-- name: forget_events(subject_id)!
-- Remove a subject's contacts.
DELETE FROM contact_event WHERE subject_id = :subject_id;

-- name: forget_reservations(subject_id)!
-- Remove a subject's reservations.
DELETE FROM reservation WHERE subject_id = :subject_id;

-- name: mark_forgotten(subject_id)!
-- Nothing about this subject is taken any more.
UPDATE contact_subject SET forgotten = true WHERE subject_id = :subject_id;

-- name: forget_old_events(before_ms)!
-- Remove contacts that no policy or limit remembers.
DELETE FROM contact_event WHERE at_ms < :before_ms;

-- name: forget_old_reservations(before_ms)!
-- Remove reservations that ended long ago.
DELETE FROM reservation WHERE expires_ms < :before_ms;
