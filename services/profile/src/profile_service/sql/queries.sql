-- The profile's queries. Identifiers are digests, subjects are random ids of ours.

-- name: find_identifiers(kinds, digests)
-- The subject that answers for each identifier that is known, by its place in the arguments.
SELECT asked.place, coalesce(s.survivor, s.subject_id)::text AS subject_id, i.shared
FROM unnest(:kinds::text [], :digests::bytea []) WITH ORDINALITY AS asked (kind, digest, place)
JOIN identifier AS i ON i.kind = asked.kind AND i.digest = asked.digest
JOIN subject AS s ON s.subject_id = i.subject_id;

-- name: find_subjects(ids)
-- The subject that answers for each id that is known, by its place in the arguments.
SELECT asked.place, coalesce(s.survivor, s.subject_id)::text AS subject_id
FROM unnest(:ids::uuid []) WITH ORDINALITY AS asked (subject_id, place)
JOIN subject AS s ON s.subject_id = asked.subject_id;

-- name: add_subjects(ids, partitions, now_us)!
-- New subjects.
INSERT INTO subject (subject_id, partition, created_at_us)
SELECT new.subject_id, new.partition, :now_us::bigint
FROM unnest(:ids::uuid [], :partitions::smallint []) AS new (subject_id, partition);

-- name: add_identifiers(kinds, digests, ids)
-- New identifiers; those that somebody else added first are missing from the answer.
INSERT INTO identifier (kind, digest, subject_id)
SELECT new.kind, new.digest, new.subject_id
FROM unnest(:kinds::text [], :digests::bytea [], :ids::uuid []) AS new (kind, digest, subject_id)
ORDER BY new.kind, new.digest
ON CONFLICT DO NOTHING
RETURNING subject_id::text;

-- name: remove_subjects(ids)!
-- Take back subjects that nothing points to, because somebody was first.
DELETE FROM subject WHERE subject_id = ANY (:ids::uuid []);

-- name: mark_shared(kind, digest)!
-- An identifier of several people.
UPDATE identifier SET shared = true WHERE kind = :kind AND digest = :digest;

-- name: surviving(ids)
-- When each of these subjects was created, and the strong identifiers of its members.
SELECT s.subject_id::text AS subject_id, s.created_at_us,
    coalesce(array_agg(i.digest) FILTER (WHERE i.digest IS NOT NULL), '{}') AS strong
FROM subject AS s
LEFT JOIN subject AS m ON m.subject_id = s.subject_id OR m.survivor = s.subject_id
LEFT JOIN identifier AS i ON i.subject_id = m.subject_id AND i.kind = 'customer_number'
WHERE s.subject_id = ANY (:ids::uuid []) AND s.survivor IS NULL
GROUP BY s.subject_id;

-- name: members(subject_id)
-- Who answers for this id, once for each that it absorbed, and at least once.
SELECT coalesce(s.survivor, s.subject_id)::text AS survivor, m.subject_id::text AS absorbed
FROM subject AS s
LEFT JOIN subject AS m ON m.survivor = coalesce(s.survivor, s.subject_id)
WHERE s.subject_id = :subject_id::uuid;

-- name: resolve(kind, digest)
-- As `members`, for an identifier; whether it is shared.
SELECT coalesce(s.survivor, s.subject_id)::text AS survivor, m.subject_id::text AS absorbed, i.shared
FROM identifier AS i
JOIN subject AS s ON s.subject_id = i.subject_id
LEFT JOIN subject AS m ON m.survivor = coalesce(s.survivor, s.subject_id)
WHERE i.kind = :kind AND i.digest = :digest;

-- name: held(subject_id, first_segment, last_segment, known)
-- Everybody whom this id's survivor answers for, the survivor first, and how far its partition is folded; with those of each member's
-- registers and the segments asked for that have changed since `known`; one row at least for each member.
SELECT m.subject_id::text AS subject_id, p.position, f.segment, f.version, f.body
FROM subject AS s
JOIN subject AS m ON m.subject_id = coalesce(s.survivor, s.subject_id) OR m.survivor = coalesce(s.survivor, s.subject_id)
JOIN partition AS p ON p.partition = m.partition
LEFT JOIN fold AS f ON f.subject_id = m.subject_id AND f.version > :known::bigint
    AND (f.segment = -1 OR f.segment BETWEEN :first_segment::integer AND :last_segment::integer)
WHERE s.subject_id = :subject_id::uuid
ORDER BY m.survivor NULLS FIRST, m.subject_id;

-- name: lock_links()!
-- One merge or erasure at a time: they are rare, and each looks at several subjects.
SELECT pg_advisory_xact_lock(hashtextextended('profile.links', 0));

-- name: add_link(absorbed, survivor, evidence, request_id, now_us)!
-- A merge, with what its inverse needs.
INSERT INTO link (absorbed, survivor, evidence, request_id, linked_at_us)
VALUES (:absorbed::uuid, :survivor::uuid, :evidence, :request_id, :now_us);

-- name: point_to(absorbed, survivor)!
-- The absorbed subject and those it absorbed answer through the survivor from now on.
UPDATE subject SET survivor = :survivor::uuid WHERE subject_id = :absorbed::uuid OR survivor = :absorbed::uuid;

-- name: known_events(keys)
-- Those of the events that were folded.
SELECT event_key FROM folded_event WHERE event_key = ANY (:keys::bytea []);

-- name: lock_partitions(partitions)
-- Where these partitions stand; nobody else folds or erases in them until this transaction ends.
SELECT partition, position, epoch FROM partition WHERE partition = ANY (:partitions::smallint []) ORDER BY partition FOR UPDATE;

-- name: add_events(keys)
-- Those of the events that were not folded before.
INSERT INTO folded_event (event_key)
SELECT new.event_key FROM unnest(:keys::bytea []) AS new (event_key) ORDER BY new.event_key
ON CONFLICT DO NOTHING
RETURNING event_key;

-- name: buried(ids)
-- Those of the subjects that were erased.
SELECT subject_id::text FROM tombstone WHERE subject_id = ANY (:ids::uuid []);

-- name: load_rows(ids, segments)
-- The rows that there are, by their place in the arguments.
SELECT asked.place, f.body
FROM unnest(:ids::uuid [], :segments::integer []) WITH ORDINALITY AS asked (subject_id, segment, place)
JOIN fold AS f ON f.subject_id = asked.subject_id AND f.segment = asked.segment;

-- name: store_rows(ids, segments, versions, bodies)!
-- Write rows, new or changed.
INSERT INTO fold (subject_id, segment, version, body)
SELECT new.subject_id, new.segment, new.version, new.body
FROM unnest(:ids::uuid [], :segments::integer [], :versions::bigint [], :bodies::text []) AS new (subject_id, segment, version, body)
ON CONFLICT (subject_id, segment) DO UPDATE SET body = excluded.body, version = excluded.version;

-- name: advance(partitions, positions, epochs)!
-- The partitions were folded this far.
UPDATE partition SET position = new.position, epoch = new.epoch
FROM unnest(:partitions::smallint [], :positions::bigint [], :epochs::bigint []) AS new (partition, position, epoch)
WHERE partition.partition = new.partition;

-- name: position_of(partition)$
-- How far a partition was folded.
SELECT position FROM partition WHERE partition = :partition;

-- name: erased(subject_id)^
-- An erasure that was done.
SELECT request_id, rows_removed FROM tombstone WHERE subject_id = :subject_id::uuid;

-- name: partitions_of(ids)
-- Where these subjects' events are folded.
SELECT DISTINCT partition FROM subject WHERE subject_id = ANY (:ids::uuid []);

-- name: remove_all(ids)$
-- Remove everything about these subjects; how many rows.
WITH folds AS (DELETE FROM fold WHERE subject_id = ANY (:ids::uuid []) RETURNING 1),
identifiers AS (DELETE FROM identifier WHERE subject_id = ANY (:ids::uuid []) RETURNING 1),
links AS (DELETE FROM link WHERE absorbed = ANY (:ids::uuid []) OR survivor = ANY (:ids::uuid []) RETURNING 1),
subjects AS (DELETE FROM subject WHERE subject_id = ANY (:ids::uuid []) RETURNING 1)
SELECT (SELECT count(*) FROM folds) + (SELECT count(*) FROM identifiers) + (SELECT count(*) FROM links)
    + (SELECT count(*) FROM subjects);

-- name: bury(ids, request_id, rows_removed, now_us)!
-- Nothing is folded for these subjects again.
INSERT INTO tombstone (subject_id, request_id, rows_removed, erased_at_us)
SELECT gone.subject_id, :request_id, :rows_removed, :now_us FROM unnest(:ids::uuid []) AS gone (subject_id)
ON CONFLICT DO NOTHING;
