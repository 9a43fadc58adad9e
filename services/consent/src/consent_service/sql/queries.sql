-- name: read_subject(subject_id, epoch)^
-- Everything a check needs, in one snapshot of the primary: the head, the state that answers, where the epoch after a token's began.
SELECT
    h.ledger_id,
    h.epoch,
    h.size,
    h.recorded_us,
    h.registry_idx,
    h.registry_digest,
    pg_is_in_recovery() AS standby,
    a.subject_id IS NOT NULL AS known,
    a.root,
    r.members,
    r.statements,
    r.status,
    (SELECT min(e.start_size) FROM ledger_epoch AS e WHERE e.epoch > :epoch) AS next_start
FROM log_head AS h
LEFT JOIN subject_state AS a ON a.subject_id = :subject_id
LEFT JOIN subject_state AS r ON r.subject_id = a.root;

-- name: registry_at(idx)^
-- A registry by the index of its entry.
SELECT r.idx, r.digest, r.document, e.epoch FROM registry AS r INNER JOIN event AS e ON e.idx = r.idx WHERE r.idx = :idx;

-- name: registry_latest(digest)^
-- The newest registry, or the newest of a digest.
SELECT r.idx, r.digest, r.document, e.epoch
FROM registry AS r INNER JOIN event AS e ON e.idx = r.idx
WHERE :digest::text = '' OR r.digest = :digest
ORDER BY r.idx DESC LIMIT 1;

-- name: registry_known_at(size, recorded_us)$
-- The index of the registry that was in force at a time of the ledger, among its first entries.
SELECT max(r.idx) FROM registry AS r INNER JOIN event AS e ON e.idx = r.idx WHERE r.idx < :size AND e.recorded_us <= :recorded_us;

-- name: notice_bytes(id, version, locale)^
-- The exact bytes of a notice.
SELECT n.id, n.version, n.locale, n.sha256, n.bytes FROM notice AS n
WHERE n.id = :id AND n.version = :version AND n.locale = :locale;

-- name: notice_hashes(ids)
-- The hashes of every version of some notices.
SELECT n.id, n.version, n.locale, n.sha256 FROM notice AS n WHERE n.id = ANY(:ids::text []);

-- name: recorded_at(idx)$
-- When an entry was recorded. Its leaf says so, which is never erased.
SELECT ('x' || encode(substring(l.leaf FROM 27 FOR 8), 'hex'))::bit(64)::bigint FROM log_entry AS l WHERE l.idx = :idx;

-- name: events_at(indices)
-- Entries by index.
SELECT idx, epoch, kind, event_id, subject_id, actor_type, recorded_us, request_id, pub, nonce, sealed
FROM event WHERE idx = ANY(:indices::bigint []);

-- name: page(subject_id, after, size, amount)
-- A subject's entries after an index, in order, no more than an amount.
SELECT idx, epoch, kind, event_id, subject_id, actor_type, recorded_us, request_id, pub, nonce, sealed
FROM event
WHERE subject_id = :subject_id AND idx > :after AND idx < :size
ORDER BY subject_seq LIMIT :amount;

-- name: history(subject_id, size, known_us, as_of_us)
-- A subject's entries in order, as known at a time and about a time.
SELECT idx, epoch, kind, event_id, subject_id, actor_type, recorded_us, request_id, pub, nonce, sealed
FROM event
WHERE subject_id = :subject_id AND idx < :size AND recorded_us <= :known_us AND event_us <= :as_of_us
ORDER BY subject_seq;

-- name: checkpointed()$
-- How many entries the newest checkpoint covers.
SELECT coalesce(max(c.size), 0) FROM checkpoint AS c;

-- name: try_to_lead()$
-- Become the ledger's one writer; false while another session is.
SELECT pg_try_advisory_lock(hashtextextended('writer.' || current_schema(), 0));

-- name: head()^
-- The end of the log.
SELECT ledger_id, epoch, size, root, frontier, recorded_us, registry_idx, registry_digest FROM log_head;

-- name: create_head(ledger_id, root)!
-- An empty ledger; the first writer's first entry says that it was created.
INSERT INTO log_head (ledger_id, epoch, size, root, frontier, recorded_us)
VALUES (:ledger_id, 0, 0, :root, '{}', 0) ON CONFLICT DO NOTHING;

-- name: raise_epoch(ledger_id, writer, now_us)^
-- Let nobody else move the head from now on, and remember where it stands; no row when this is another ledger's.
WITH raised AS (
    UPDATE log_head SET epoch = epoch + 1, writer = :writer WHERE ledger_id = :ledger_id
    RETURNING ledger_id, epoch, size, root, frontier, recorded_us, registry_idx, registry_digest
),
began AS (
    INSERT INTO ledger_epoch (epoch, start_size, started_us, writer)
    SELECT r.epoch, r.size, greatest(r.recorded_us, :now_us), :writer FROM raised AS r
)
SELECT ledger_id, epoch, size, root, frontier, recorded_us, registry_idx, registry_digest FROM raised;

-- name: tiles(levels, numbers)
-- Some tiles.
SELECT t.level, t.n, t.hashes
FROM unnest(:levels::smallint [], :numbers::bigint []) AS wanted (level, n)
INNER JOIN log_tile AS t ON t.level = wanted.level AND t.n = wanted.n;

-- name: recall(requests, subjects)
-- The one read of a batch: the subjects' states with those above them, and the first entries of requests that are known. Of these, `seq`
-- is the index, `last_idx` the number of entries, and `last_leaf_hash` the hash of the content.
WITH RECURSIVE above AS (
    SELECT s.* FROM subject_state AS s WHERE s.subject_id = ANY(:subjects::text [])
    UNION ALL
    SELECT s.* FROM above AS a INNER JOIN subject_state AS s ON s.subject_id = a.survivor
)
SELECT a.subject_id, NULL AS request_id, a.status, a.survivor, a.link, a.members, a.sealed, a.seq, a.last_idx, a.last_leaf_hash, a.statements
FROM above AS a
UNION ALL
SELECT NULL, e.request_id, NULL, NULL, NULL, NULL, NULL, e.idx, e.request_entries, e.request_hash, NULL
FROM event AS e WHERE e.request_id = ANY(:requests::text []);

-- name: leaves_at(indices)
-- Leaves by index.
SELECT l.idx, l.leaf FROM log_entry AS l WHERE l.idx = ANY(:indices::bigint []);

-- name: move_head(subjects, statuses, survivors, links, members, sealed, seqs, indices, leaf_hashes, statements, levels, numbers, hashes, size, epoch, new_size, root, frontier, recorded_us, registry_idx, registry_digest)$
-- All that a batch changes, if nobody else has moved the head: states, tiles, head. A subject that is new answers for itself.
-- No value: somebody has.
WITH states AS (
    INSERT INTO subject_state AS old (
        subject_id, root, status, survivor, link, members, sealed, seq, last_idx, last_leaf_hash, statements
    )
    SELECT s.id, s.id, s.status, s.survivor, s.link, s.members::text [], s.sealed::text [], s.seq, s.idx, s.leaf_hash, s.statements
    FROM unnest(
        :subjects::text [], :statuses::text [], :survivors::text [], :links::bigint [], :members::text [], :sealed::text [],
        :seqs::bigint [], :indices::bigint [], :leaf_hashes::bytea [], :statements::text []
    ) AS s (id, status, survivor, link, members, sealed, seq, idx, leaf_hash, statements)
    ON CONFLICT (subject_id) DO UPDATE SET
        status = excluded.status,
        survivor = excluded.survivor,
        link = excluded.link,
        members = excluded.members,
        sealed = excluded.sealed,
        seq = excluded.seq,
        last_idx = excluded.last_idx,
        last_leaf_hash = excluded.last_leaf_hash,
        statements = excluded.statements
),
tiles AS (
    INSERT INTO log_tile (level, n, hashes)
    SELECT t.level, t.n, t.hashes
    FROM unnest(:levels::smallint [], :numbers::bigint [], :hashes::bytea []) AS t (level, n, hashes)
    ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes
),
moved AS (
    UPDATE log_head SET
        size = :new_size,
        root = :root,
        frontier = :frontier,
        recorded_us = :recorded_us,
        registry_idx = :registry_idx,
        registry_digest = :registry_digest
    WHERE size = :size AND epoch = :epoch
    RETURNING size
)
SELECT m.size FROM moved AS m;

-- name: reroot(root, subjects)!
-- Let one subject answer for others.
UPDATE subject_state SET root = :root WHERE subject_id = ANY(:subjects::text []);

-- name: add_registry(idx, digest, document)!
-- Keep a published registry.
INSERT INTO registry (idx, digest, document) VALUES (:idx, :digest, :document);

-- name: add_notice(id, version, locale, sha256, bytes)!
-- Keep a notice's exact bytes.
INSERT INTO notice (id, version, locale, sha256, bytes) VALUES (:id, :version, :locale, :sha256, :bytes) ON CONFLICT DO NOTHING;

-- name: relayed()$
-- The index that was published last.
SELECT c.idx FROM relay_cursor AS c;

-- name: partition_heads()
-- The last index published on each partition.
SELECT p.partition, p.idx FROM partition_head AS p;

-- name: to_relay(after, amount)
-- The entries after an index, in order; whom an erasure is about is said by the tombstone that was written with it.
SELECT e.idx, e.kind, e.epoch, e.effective, e.event_us, e.recorded_us, coalesce(e.subject_id, s.subject_id) AS subject_id
FROM event AS e LEFT JOIN subject_state AS s ON e.class = 4 AND s.status = 'ERASED' AND s.last_idx = e.idx
WHERE e.idx > :after
ORDER BY e.idx LIMIT :amount;

-- name: relayed_before(before, amount)
-- The entries before an index, the latest first.
SELECT e.idx, e.kind, e.epoch, e.effective, e.event_us, e.recorded_us, coalesce(e.subject_id, s.subject_id) AS subject_id
FROM event AS e LEFT JOIN subject_state AS s ON e.class = 4 AND s.status = 'ERASED' AND s.last_idx = e.idx
WHERE e.idx < :before
ORDER BY e.idx DESC LIMIT :amount;

-- name: relay_up_to(idx, partitions, indices)!
-- Remember what was published.
WITH heads AS (
    INSERT INTO partition_head (partition, idx)
    SELECT p.partition, p.idx FROM unnest(:partitions::smallint [], :indices::bigint []) AS p (partition, idx)
    ON CONFLICT (partition) DO UPDATE SET idx = excluded.idx
)
INSERT INTO relay_cursor (idx) VALUES (:idx) ON CONFLICT (only_one) DO UPDATE SET idx = excluded.idx;

-- name: try_to_relay()$
-- Become the one relay; false while another session is.
SELECT pg_try_advisory_lock(hashtextextended('relay.' || current_schema(), 0));
