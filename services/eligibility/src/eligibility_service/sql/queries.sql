-- Contacts, reservations, and the rows that are locked to count them.

-- name: meet_subjects(subject_ids)!
-- Have a row to lock for each subject.
INSERT INTO contact_subject (subject_id) SELECT unnest(:subject_ids::text []) AS subject_id ORDER BY subject_id ON CONFLICT DO NOTHING;

-- name: lock_subjects(subject_ids)
-- Be alone on these subjects, always locked in the same order.
SELECT subject_id, forgotten FROM contact_subject WHERE subject_id = ANY (:subject_ids::text []) ORDER BY subject_id FOR UPDATE;

-- name: changed(subject_ids)!
-- Count a change of these subjects' contact state.
UPDATE contact_subject SET version = version + 1 WHERE subject_id = ANY (:subject_ids::text []);

-- name: known(subject_ids, since_ms, now_ms)
-- Of one moment: the subjects that were met, in rows without an action, and what counts: outcomes that nothing replaced, and
-- reservations that still hold. The ids are hidden in a subquery, as planning for their number each time costs more than the reading;
-- so is what replaces an outcome, or a generic plan reads the whole table for it.
SELECT
    s.subject_id, s.version, s.forgotten,
    NULL AS action, NULL AS grp, NULL AS issue, NULL AS channel, NULL AS class, NULL AS outcome, NULL::bigint AS at_ms
FROM contact_subject AS s
WHERE s.subject_id = ANY ((SELECT :subject_ids::text [])::text [])
UNION ALL
SELECT NULL, NULL, NULL, e.action, e.grp, e.issue, e.channel, e.class, e.outcome, e.at_ms
FROM contact_event AS e
WHERE e.subject_id = ANY ((SELECT :subject_ids::text [])::text []) AND e.at_ms > :since_ms
    AND (SELECT true FROM contact_event AS later WHERE later.replaces = e.outcome_id LIMIT 1) IS NULL
UNION ALL
SELECT NULL, NULL, NULL, r.action, r.grp, r.issue, r.channel, r.class, 'reserved' AS outcome, r.at_ms
FROM reservation AS r
WHERE r.subject_id = ANY ((SELECT :subject_ids::text [])::text []) AND r.state = 'live' AND r.expires_ms > :now_ms;

-- name: take_if_unchanged(subject_ids, versions, decision_id, items, actions, grps, issues, channels, classes, at_ms, expires_ms)
-- Hold places at once, all or none: where the subjects are at the versions that were seen, none of them is forgotten, and the decision
-- has no place yet. The rows are locked in the usual order, and judged as they are then. The places are the first subject's.
WITH unchanged AS (
    INSERT INTO contact_subject (subject_id, version)
    SELECT seen.subject_id, seen.version + 1
    FROM unnest(:subject_ids::text [], :versions::bigint []) AS seen (subject_id, version)
    WHERE NOT EXISTS (SELECT 1 FROM reservation AS r WHERE r.decision_id = :decision_id)
    ORDER BY seen.subject_id
    ON CONFLICT (subject_id) DO UPDATE SET version = excluded.version
    WHERE contact_subject.version = excluded.version - 1 AND NOT contact_subject.forgotten
    RETURNING subject_id
)
INSERT INTO reservation (decision_id, item, subject_id, action, grp, issue, channel, class, at_ms, expires_ms)
SELECT
    :decision_id, wish.item, (:subject_ids::text [])[1],
    wish.action, wish.grp, wish.issue, wish.channel, wish.class, wish.at_ms, :expires_ms
FROM unnest(
    :items::text [], :actions::text [], :grps::text [], :issues::text [], :channels::text [], :classes::text [], :at_ms::bigint []
) AS wish (item, action, grp, issue, channel, class, at_ms)
WHERE (SELECT count(*) FROM unchanged) = cardinality(:subject_ids::text [])
RETURNING item, reservation_id;

-- name: grow(subject_id, outcome_id)$
-- Lock the subject's row, have one, and count the change that follows; nothing when the outcome is known or the subject forgotten.
INSERT INTO contact_subject (subject_id, version)
SELECT :subject_id, 1
WHERE NOT EXISTS (SELECT 1 FROM contact_event AS e WHERE e.outcome_id = :outcome_id)
ON CONFLICT (subject_id) DO UPDATE SET version = contact_subject.version + 1 WHERE NOT contact_subject.forgotten
RETURNING version;

-- name: add_outcome(outcome_id, replaces, decision_id, subject_id, action, grp, issue, channel, class_, outcome, at_ms)$
-- Remember an outcome; a repeat changes nothing. After an impression the outcome counts, and one reservation of it no longer does.
WITH added AS (
    INSERT INTO contact_event (outcome_id, replaces, decision_id, subject_id, action, grp, issue, channel, class, outcome, at_ms)
    VALUES (:outcome_id, :replaces, :decision_id, :subject_id, :action, :grp, :issue, :channel, :class_, :outcome, :at_ms)
    ON CONFLICT DO NOTHING
    RETURNING outcome
), committed AS (
    UPDATE reservation SET state = 'committed'
    WHERE reservation_id = (
        SELECT r.reservation_id FROM reservation AS r
        WHERE r.decision_id = :decision_id AND r.action = :action AND r.state <> 'committed'
        ORDER BY r.state = 'live' DESC, r.item LIMIT 1
    ) AND EXISTS (SELECT 1 FROM added WHERE added.outcome = 'impression')
)
SELECT count(*) > 0 FROM added;

-- name: reservations(decision_id, items)
-- Places that a decision has, or had.
SELECT reservation_id, item, subject_id, action, channel, state, expires_ms
FROM reservation
WHERE decision_id = :decision_id AND item = ANY (:items::text []);

-- name: take(decision_id, item, subject_ids, action, grp, issue, channel, class_, at_ms, expires_ms)$
-- Hold a place for the first subject; one of these subjects that was released or has expired is taken anew. Nothing when somebody else has it.
INSERT INTO reservation (decision_id, item, subject_id, action, grp, issue, channel, class, at_ms, expires_ms)
VALUES (:decision_id, :item, (:subject_ids::text [])[1], :action, :grp, :issue, :channel, :class_, :at_ms, :expires_ms)
ON CONFLICT (decision_id, item) DO UPDATE SET state = 'live', at_ms = excluded.at_ms, expires_ms = excluded.expires_ms
WHERE reservation.subject_id = ANY (:subject_ids::text []) AND reservation.action = excluded.action
    AND reservation.channel = excluded.channel
RETURNING reservation_id;

-- name: release(decision_id, items)
-- Give back what still holds; no items means all. Subjects are locked before their places, as by everybody.
WITH locked AS (
    SELECT s.subject_id
    FROM contact_subject AS s
    WHERE s.subject_id IN (
        SELECT r.subject_id FROM reservation AS r
        WHERE r.decision_id = :decision_id AND r.state = 'live'
            AND (cardinality(:items::text []) = 0 OR r.item = ANY (:items::text []))
    )
    ORDER BY s.subject_id
    FOR UPDATE
), freed AS (
    UPDATE reservation SET state = 'released'
    WHERE decision_id = :decision_id AND state = 'live' AND (cardinality(:items::text []) = 0 OR item = ANY (:items::text []))
        AND subject_id IN (SELECT locked.subject_id FROM locked)
    RETURNING item, subject_id
), changed AS (
    UPDATE contact_subject SET version = version + 1 WHERE subject_id IN (SELECT freed.subject_id FROM freed)
)
SELECT freed.item FROM freed;

-- name: forget_events(subject_id)!
-- Remove a subject's contacts.
DELETE FROM contact_event WHERE subject_id = :subject_id;

-- name: forget_reservations(subject_id)!
-- Remove a subject's reservations.
DELETE FROM reservation WHERE subject_id = :subject_id;

-- name: mark_forgotten(subject_id)!
-- Nothing about this subject is taken any more.
UPDATE contact_subject SET forgotten = true, version = version + 1 WHERE subject_id = :subject_id AND NOT forgotten;

-- name: forget_old_events(before_ms)!
-- Remove contacts that no policy or limit remembers.
DELETE FROM contact_event WHERE at_ms < :before_ms;

-- name: forget_old_reservations(before_ms)!
-- Remove reservations that ended long ago.
DELETE FROM reservation WHERE expires_ms < :before_ms;
