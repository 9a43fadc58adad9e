-- Bundles, their lives, and what is stopped.

-- name: add_bundle(digest, document, state, touches, proposed_by, changed_at_ms)!
-- A new bundle; one that is stored already stays as it is.
INSERT INTO bundle (digest, document, state, touches, proposed_by, changed_at_ms)
VALUES (:digest, :document, :state, :touches, :proposed_by, :changed_at_ms)
ON CONFLICT (digest) DO NOTHING;

-- name: life(digest)^
-- A bundle's life so far.
SELECT digest, state, touches, proposed_by, approved_by, changed_at_ms FROM bundle WHERE digest = :digest;

-- name: lock_life(digest)^
-- A bundle's life, for a change.
SELECT digest, state, touches, proposed_by, approved_by, changed_at_ms FROM bundle WHERE digest = :digest FOR UPDATE;

-- name: active_digest()$
-- The bundle that counts.
SELECT digest FROM bundle WHERE state = 'active';

-- name: document(digest)$
-- A bundle's canonical JSON.
SELECT document FROM bundle WHERE digest = :digest;

-- name: store_life(digest, state, approved_by, changed_at_ms)!
-- Where a bundle is now.
UPDATE bundle SET state = :state, approved_by = :approved_by, changed_at_ms = :changed_at_ms WHERE digest = :digest;

-- name: lives(state, below, at_most)
-- Bundles, newest first.
SELECT number, digest, state, touches, proposed_by, approved_by, changed_at_ms
FROM bundle
WHERE number < :below AND (:state::text IS NULL OR state = :state)
ORDER BY number DESC
LIMIT :at_most;

-- name: add_event(digest, step, subject, by_whom, why, at_ms)!
-- One line of history.
INSERT INTO bundle_event (digest, step, subject, by_whom, why, at_ms)
VALUES (:digest, :step, :subject, :by_whom, :why, :at_ms);

-- name: next_revision(at_ms)$
-- Count a change of what counts; also the lock that puts such changes in order. At least the time, so that a database restored from
-- a backup does not fall behind what replicas have seen.
UPDATE activation SET revision = greatest(revision + 1, :at_ms::bigint) RETURNING revision;

-- name: active()^
-- What counts now, what is stopped, and how many changes there were: in one statement, so that they belong together.
SELECT
    (SELECT digest FROM bundle WHERE state = 'active') AS digest,
    ARRAY(SELECT kind || ':' || id FROM killed ORDER BY kind, id) AS killed,
    revision
FROM activation;

-- name: add_killed(kind, id)!
-- Stop something.
INSERT INTO killed (kind, id) VALUES (:kind, :id) ON CONFLICT DO NOTHING;

-- name: remove_killed(kind, id)!
-- Let something go on.
DELETE FROM killed WHERE kind = :kind AND id = :id;
