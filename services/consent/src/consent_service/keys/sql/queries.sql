-- name: read_keys(subjects)
-- The keys of these subjects, destroyed ones too.
SELECT k.subject_id, k.wrapped_dek, e.provider_ref
FROM subject_key AS k LEFT JOIN kek_epoch AS e ON e.epoch = k.kek_epoch
WHERE k.subject_id = any(:subjects);

-- name: add_keys(subjects, wrapped, kek_epoch, created_at)!
-- Keys of subjects that have none; whoever was first wins, and a tombstone stays.
INSERT INTO subject_key (subject_id, wrapped_dek, kek_epoch, created_at)
SELECT s.subject_id, s.wrapped, :kek_epoch, :created_at
FROM unnest(:subjects::text [], :wrapped::bytea []) AS s (subject_id, wrapped)
ORDER BY s.subject_id
ON CONFLICT (subject_id) DO NOTHING;

-- name: read_epochs()
-- Every key-encryption key, oldest first.
SELECT epoch, provider_ref, created_at, destroyed_at FROM kek_epoch ORDER BY epoch;

-- name: newest_epoch()^
-- The key-encryption key under which new keys are wrapped.
SELECT epoch, provider_ref, created_at, destroyed_at FROM kek_epoch WHERE destroyed_at IS NULL ORDER BY epoch DESC LIMIT 1;

-- name: add_epoch(epoch, provider_ref, created_at)!
-- The next key-encryption key, unless another replica was first.
INSERT INTO kek_epoch (epoch, provider_ref, created_at) VALUES (:epoch, :provider_ref, :created_at) ON CONFLICT DO NOTHING;

-- name: stale_keys(newest, most)
-- Live keys under an older key-encryption key than the newest.
SELECT k.subject_id, k.wrapped_dek, k.kek_epoch, e.provider_ref
FROM subject_key AS k JOIN kek_epoch AS e ON e.epoch = k.kek_epoch
WHERE k.destroyed_at IS NULL AND k.kek_epoch < :newest
ORDER BY k.kek_epoch, k.subject_id LIMIT :most;

-- name: rewrap_keys(subjects, wrapped, newest)!
-- Put the same keys under the newest key-encryption key; one that was destroyed meanwhile stays so.
UPDATE subject_key AS k SET wrapped_dek = s.wrapped, kek_epoch = :newest
FROM unnest(:subjects::text [], :wrapped::bytea []) AS s (subject_id, wrapped)
WHERE k.subject_id = s.subject_id AND k.destroyed_at IS NULL AND k.kek_epoch < :newest;

-- name: shred_keys(subjects, destroyed_at)!
-- Destroy the keys of these subjects.
UPDATE subject_key SET wrapped_dek = NULL, destroyed_at = :destroyed_at
WHERE subject_id = any(:subjects) AND destroyed_at IS NULL;

-- name: add_tombstones(subjects, destroyed_at)!
-- A subject that has no key shall never get one.
INSERT INTO subject_key (subject_id, created_at, destroyed_at)
SELECT s.subject_id, :destroyed_at, :destroyed_at FROM unnest(:subjects::text []) AS s (subject_id)
ORDER BY s.subject_id
ON CONFLICT (subject_id) DO NOTHING;

-- name: destroyed_subjects(since, most)
-- Subjects whose keys are gone, in order: what reconciling compares.
SELECT subject_id, destroyed_at FROM subject_key
WHERE destroyed_at IS NOT NULL AND subject_id > :since ORDER BY subject_id LIMIT :most;

-- name: live_under(epoch)$
-- Whether a live key hangs on this key-encryption key.
SELECT EXISTS (SELECT FROM subject_key WHERE kek_epoch = :epoch AND destroyed_at IS NULL);

-- name: end_epoch(epoch, destroyed_at)!
-- The key-encryption key is gone.
UPDATE kek_epoch SET destroyed_at = :destroyed_at WHERE epoch = :epoch AND destroyed_at IS NULL;
