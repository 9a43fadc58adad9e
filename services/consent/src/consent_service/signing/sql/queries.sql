-- What the role consent_signer asks: it reads the log, and inserts checkpoints.

-- name: head()^
-- The end of the log.
SELECT ledger_id, epoch, size, root, frontier FROM log_head;

-- name: latest_checkpoint()^
-- The newest checkpoint.
SELECT size, root FROM checkpoint ORDER BY size DESC LIMIT 1;

-- name: leaves(first, past)
-- Stored leaves in order.
SELECT idx, leaf FROM log_entry WHERE idx >= :first AND idx < :past ORDER BY idx;

-- name: tiles(levels, numbers)
-- Tiles by level and number.
SELECT tile.level, tile.n, tile.hashes
FROM unnest(:levels::smallint [], :numbers::bigint []) AS wanted (level, n)
INNER JOIN log_tile AS tile ON tile.level = wanted.level AND tile.n = wanted.n;

-- name: publish(size, root, note, published_us)!
-- A checkpoint, once.
INSERT INTO checkpoint (size, root, note, published_us) VALUES (:size, :root, :note, :published_us) ON CONFLICT (size) DO NOTHING;

-- name: root_at(size)$
-- What was published for a size.
SELECT root FROM checkpoint WHERE size = :size;
