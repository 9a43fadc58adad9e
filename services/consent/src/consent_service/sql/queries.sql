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
    r.sealed,
    r.erased,
    (SELECT min(e.start_size) FROM ledger_epoch AS e WHERE e.epoch > :epoch) AS next_start
FROM log_head AS h
LEFT JOIN subject_state AS a ON a.subject_id = :subject_id
LEFT JOIN subject_state AS r ON r.subject_id = a.root;

-- name: lock_head()^
-- The head, held until the transaction ends: one writer at a time.
SELECT ledger_id, epoch, size, recorded_us, registry_idx, registry_digest FROM log_head FOR UPDATE;

-- name: create_head(ledger_id, recorded_us)!
-- The ledger's beginning: entry 0 says that it was created.
INSERT INTO log_head (ledger_id, epoch, size, recorded_us) VALUES (:ledger_id, 1, 1, :recorded_us) ON CONFLICT DO NOTHING;

-- name: create_epoch(epoch, start_size)!
-- Where an epoch begins.
INSERT INTO ledger_epoch (epoch, start_size) VALUES (:epoch, :start_size);

-- name: advance_head(size, epoch, new_size, recorded_us, registry_idx, registry_digest)!
-- Move the head, unless somebody else has; "UPDATE 0" says so.
UPDATE log_head SET
    size = :new_size,
    recorded_us = :recorded_us,
    registry_idx = coalesce(:registry_idx, registry_idx),
    registry_digest = coalesce(:registry_digest, registry_digest)
WHERE size = :size AND epoch = :epoch;

-- name: lineage(subject_id)
-- A subject, the one that absorbed it, and so on.
WITH RECURSIVE above AS (
    SELECT s.*, 0 AS depth FROM subject_state AS s WHERE s.subject_id = :subject_id
    UNION ALL
    SELECT s.*, a.depth + 1 AS depth FROM above AS a INNER JOIN subject_state AS s ON s.subject_id = a.survivor
)
SELECT subject_id, survivor, link, members, last_idx, statements, sealed, erased FROM above ORDER BY depth;

-- name: add_entries*!
-- Append entries.
INSERT INTO entry (
    idx, epoch, kind, subject_id, recorded_us, event_us, effective, reason, purpose, notice, actor_type, valid_to_us, request_id, body
) VALUES (
    :idx, :epoch, :kind, :subject_id, :recorded_us, :event_us, :effective, :reason, :purpose, :notice, :actor_type, :valid_to_us,
    :request_id, :body
);

-- name: keep_state(subject_id, survivor, link, members, last_idx, statements, sealed, erased)!
-- A subject's new state; one that is new answers for itself.
INSERT INTO subject_state (subject_id, root, survivor, link, members, last_idx, statements, sealed, erased)
VALUES (:subject_id, :subject_id, :survivor, :link, :members, :last_idx, :statements, :sealed, :erased)
ON CONFLICT (subject_id) DO UPDATE SET
    survivor = excluded.survivor,
    link = excluded.link,
    members = excluded.members,
    last_idx = excluded.last_idx,
    statements = excluded.statements,
    sealed = excluded.sealed,
    erased = excluded.erased;

-- name: reroot(root, subjects)!
-- Let one subject answer for others.
UPDATE subject_state SET root = :root WHERE subject_id = ANY (:subjects::text []);

-- name: first_result(request_id)^
-- What was answered to this request.
SELECT content_hash, result FROM request WHERE request_id = :request_id;

-- name: keep_result(request_id, content_hash, result)!
-- Remember the answer to a request.
INSERT INTO request (request_id, content_hash, result) VALUES (:request_id, :content_hash, :result);

-- name: previous_on_partition(partition, idx)$
-- Enter an index as the last one of a partition; the one before it, or none.
WITH old AS (SELECT p.idx FROM partition_head AS p WHERE p.partition = :partition),
new AS (
    INSERT INTO partition_head (partition, idx) VALUES (:partition, :idx)
    ON CONFLICT (partition) DO UPDATE SET idx = excluded.idx
)
SELECT old.idx FROM old;

-- name: add_registry(idx, digest, document)!
-- Keep a published registry.
INSERT INTO registry (idx, digest, document) VALUES (:idx, :digest, :document);

-- name: add_notice(id, version, locale, sha256, bytes)!
-- Keep a notice's exact bytes.
INSERT INTO notice (id, version, locale, sha256, bytes) VALUES (:id, :version, :locale, :sha256, :bytes) ON CONFLICT DO NOTHING;

-- name: registry_at(idx)^
-- A registry by the index of its entry.
SELECT r.idx, r.digest, r.document, e.epoch FROM registry AS r INNER JOIN entry AS e ON e.idx = r.idx WHERE r.idx = :idx;

-- name: registry_latest(digest)^
-- The newest registry, or the newest of a digest.
SELECT r.idx, r.digest, r.document, e.epoch
FROM registry AS r INNER JOIN entry AS e ON e.idx = r.idx
WHERE :digest::text = '' OR r.digest = :digest
ORDER BY r.idx DESC LIMIT 1;

-- name: registry_known_at(size, recorded_us)$
-- The index of the registry that was in force at a time of the ledger, among its first entries.
SELECT max(r.idx) FROM registry AS r INNER JOIN entry AS e ON e.idx = r.idx WHERE r.idx < :size AND e.recorded_us <= :recorded_us;

-- name: notice_bytes(id, version, locale)^
-- The exact bytes of a notice.
SELECT n.id, n.version, n.locale, n.sha256, n.bytes FROM notice AS n
WHERE n.id = :id AND n.version = :version AND n.locale = :locale;

-- name: entry_at(idx)^
-- One entry.
SELECT idx, epoch, kind, subject_id, recorded_us, event_us, effective, reason, request_id, body FROM entry WHERE idx = :idx;

-- name: recorded_at(idx)$
-- When an entry was recorded.
SELECT recorded_us FROM entry WHERE idx = :idx;

-- name: page(subject_id, after, size, amount)
-- A subject's entries after an index, in order, no more than an amount.
SELECT idx, epoch, kind, subject_id, recorded_us, event_us, effective, reason, request_id, body
FROM entry
WHERE subject_id = :subject_id AND idx > :after AND idx < :size
ORDER BY idx LIMIT :amount;

-- name: history(subject_id, size, known_us, as_of_us)
-- A subject's entries in order, as known at a time and about a time.
SELECT idx, epoch, kind, subject_id, recorded_us, event_us, effective, reason, request_id, body
FROM entry
WHERE subject_id = :subject_id AND idx < :size AND recorded_us <= :known_us AND event_us <= :as_of_us
ORDER BY idx;
