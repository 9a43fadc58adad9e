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
