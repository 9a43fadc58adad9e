-- name: checkpoint_latest()^
-- The latest checkpoint.
SELECT size, root, note, published_us FROM checkpoint ORDER BY size DESC LIMIT 1;

-- name: checkpoint_of_size(size)^
-- The checkpoint of exactly this size.
SELECT size, root, note, published_us FROM checkpoint WHERE size = :size;

-- name: checkpoint_at_least(size)^
-- The first checkpoint that covers this many entries.
SELECT size, root, note, published_us FROM checkpoint WHERE size >= :size ORDER BY size LIMIT 1;

-- name: checkpoint_published_by(at_us)^
-- The latest checkpoint that had been published then.
SELECT size, root, note, published_us FROM checkpoint WHERE published_us <= :at_us ORDER BY published_us DESC, size DESC LIMIT 1;

-- name: tree_tiles(levels, numbers)
-- Tiles by level and number.
SELECT tile.level, tile.n, tile.hashes
FROM unnest(:levels::smallint [], :numbers::bigint []) AS wanted (level, n)
INNER JOIN log_tile AS tile ON tile.level = wanted.level AND tile.n = wanted.n;

-- name: rows_between(first, last)
-- Entries by index with their leaves; an erased one has nothing but its leaf.
SELECT l.idx, l.leaf, e.kind, e.event_id, e.subject_id, e.subject_seq, e.pub, e.nonce, e.sealed
FROM log_entry AS l LEFT JOIN event AS e ON e.idx = l.idx
WHERE l.idx >= :first AND l.idx < :last
ORDER BY l.idx;

-- name: rows_at(indices)
-- Some entries with their leaves.
SELECT l.idx, l.leaf, e.kind, e.event_id, e.subject_id, e.subject_seq, e.pub, e.nonce, e.sealed
FROM log_entry AS l LEFT JOIN event AS e ON e.idx = l.idx
WHERE l.idx = ANY(:indices::bigint [])
ORDER BY l.idx;

-- name: rows_of(subject_id, size)
-- All entries of a subject among the first of the log.
SELECT l.idx, l.leaf, e.kind, e.event_id, e.subject_id, e.subject_seq, e.pub, e.nonce, e.sealed
FROM event AS e INNER JOIN log_entry AS l ON l.idx = e.idx
WHERE e.subject_id = :subject_id AND e.idx < :size
ORDER BY e.subject_seq;

-- name: rows_picked(first, last, amount, classes, kinds, actor, notice, purpose, regime, effective, event_from, event_to, ends_from, ends_to)
-- A page of the entries that a filter lets through.
SELECT l.idx, l.leaf, e.kind, e.event_id, e.subject_id, e.subject_seq, e.pub, e.nonce, e.sealed
FROM event AS e INNER JOIN log_entry AS l ON l.idx = e.idx
WHERE
    e.idx >= :first AND e.idx < :last
    AND (:classes::smallint [] IS NULL OR e.class = ANY(:classes::smallint []))
    AND (:kinds::text [] IS NULL OR e.kind = ANY(:kinds::text []))
    AND (:actor::text IS NULL OR e.actor_type = :actor)
    AND (:notice::text IS NULL OR e.notice = :notice)
    AND (:purpose::text IS NULL OR e.purpose = :purpose OR starts_with(e.purpose, :purpose || '.'))
    AND (:regime::text IS NULL OR :regime = ANY(e.regimes))
    AND (:effective::boolean IS NULL OR e.effective = :effective)
    AND (:event_from::bigint IS NULL OR e.event_us >= :event_from)
    AND (:event_to::bigint IS NULL OR e.event_us < :event_to)
    AND (:ends_from::bigint IS NULL OR e.valid_to_us >= :ends_from)
    AND (:ends_to::bigint IS NULL OR e.valid_to_us < :ends_to)
ORDER BY e.idx LIMIT :amount;

-- name: chains_before(subjects, first)
-- The last entry of each subject before an index.
SELECT DISTINCT ON (e.subject_id) e.subject_id, e.subject_seq, l.leaf
FROM event AS e INNER JOIN log_entry AS l ON l.idx = e.idx
WHERE e.subject_id = ANY(:subjects::text []) AND e.idx < :first
ORDER BY e.subject_id ASC, e.subject_seq DESC;

-- name: checkpoints_between(first, last)
-- Checkpoints by size.
SELECT size, root, note, published_us FROM checkpoint WHERE size >= :first AND size <= :last ORDER BY size;

-- name: head_of_log()^
-- Where the log ends.
SELECT ledger_id, size, root, recorded_us FROM log_head;

-- name: words_of(ids, versions, locales)
-- Exact bytes of notices.
SELECT n.id, n.version, n.locale, n.bytes
FROM unnest(:ids::text [], :versions::bigint [], :locales::text []) AS u (id, version, locale)
INNER JOIN notice AS n ON n.id = u.id AND n.version = u.version AND n.locale = u.locale
ORDER BY n.id, n.version, n.locale;

-- name: registry_indices()
-- Where registries were published.
SELECT r.idx, e.recorded_us FROM registry AS r INNER JOIN event AS e ON e.idx = r.idx ORDER BY r.idx;
