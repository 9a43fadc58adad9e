-- Partitions, session states, and the signals that came of them.

-- name: position_of(pp)$
-- The stream sequence that a partition stands at.
SELECT position FROM partitions WHERE pp = :pp;

-- name: commit_position(pp, epoch, position, stream_ms)$
-- Move a partition on; nothing when a newer owner has committed.
INSERT INTO partitions (pp, epoch, position, stream_ms) VALUES (:pp, :epoch, :position, :stream_ms)
ON CONFLICT (pp) DO UPDATE
SET epoch = excluded.epoch,
    position = greatest(partitions.position, excluded.position),
    stream_ms = greatest(partitions.stream_ms, excluded.stream_ms),
    seen_at = now()
WHERE partitions.epoch <= excluded.epoch
RETURNING epoch;

-- name: say_owned(pps, epochs)!
-- The owner of these partitions is alive.
INSERT INTO partitions (pp, epoch)
SELECT pp, epoch FROM unnest(:pps::smallint [], :epochs::bigint []) AS held (pp, epoch)
ON CONFLICT (pp) DO UPDATE SET epoch = excluded.epoch, seen_at = now() WHERE partitions.epoch <= excluded.epoch;

-- name: progress(pps)
-- Where partitions stand, and for how many ms their owner was not heard.
SELECT pp, position, (extract(EPOCH FROM now() - seen_at) * 1000)::bigint AS silent_ms FROM partitions
WHERE pp = ANY (:pps::smallint []);

-- name: everything()^
-- How many partitions are owned at all, and the longest silence among them.
SELECT count(*) AS partitions, (extract(EPOCH FROM now() - min(seen_at)) * 1000)::bigint AS silent_ms FROM partitions;

-- name: sessions_of_partition(pp)
-- Every live session of a partition.
SELECT session, visitor, subject, channel, state FROM session_state WHERE pp = :pp ORDER BY session;

-- name: save_sessions(sessions, pp, visitors, subjects, channels, states, changed_ms)!
-- Keep the states of sessions.
INSERT INTO session_state (session, pp, visitor, subject, channel, state, changed_ms)
SELECT session, :pp, visitor, subject, channel, state, :changed_ms
FROM unnest(:sessions::text [], :visitors::text [], :subjects::text [], :channels::text [], :states::bytea [])
    AS given (session, visitor, subject, channel, state)
ON CONFLICT (session) DO UPDATE
SET visitor = excluded.visitor, subject = excluded.subject, channel = excluded.channel,
    state = excluded.state, changed_ms = excluded.changed_ms;

-- name: remove_sessions(sessions)!
-- Forget sessions that are long over.
DELETE FROM session_state WHERE session = ANY (:sessions::text []);

-- name: erase_sessions(sessions)!
-- Delete the signals of erased sessions that came between the erasure and its message.
WITH gone AS (
    DELETE FROM signals WHERE session = ANY (:sessions::text []) RETURNING id
)
DELETE FROM signal_changes WHERE id IN (SELECT id FROM gone);

-- name: add_signals(signals)
-- Store detections; the ids of those that are new.
INSERT INTO signals (id, revision, definition, version, hash, kind, strength, warrants, internal, shadow, purpose, categories, pp, session,
    subject, channel, per, fields, count, evidence, first_at, at, expires_at, known_at, ledger_index, bundle)
SELECT id, 0, definition, version, hash, kind, strength, warrants, internal, shadow, purpose, categories, pp, session,
    subject, channel, per, fields, count, evidence, first_at, at, expires_at, known_at, ledger_index, bundle
FROM jsonb_populate_recordset(NULL::signals, :signals::jsonb)
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: end_signals(ids, at, reason)
-- End signals that are not over yet; the rows as they are now.
UPDATE signals SET ended_at = :at, reason = :reason, revision = revision + 1
WHERE id = ANY (:ids::text []) AND ended_at IS NULL
RETURNING id, revision, definition, version, hash, kind, strength, warrants, internal, purpose, categories, session, subject, per, fields, count,
    evidence, first_at, at, expires_at, ledger_index, bundle, shadow;

-- name: add_changes(ids, revisions, change, at, reason)!
-- Remember what became of signals.
INSERT INTO signal_changes (id, revision, change, at, reason)
SELECT id, revision, :change, :at, :reason FROM unnest(:ids::text [], :revisions::integer []) AS given (id, revision)
ON CONFLICT DO NOTHING;

-- name: look(pps, subject, session, latest_ms, now_ms)
-- Where the partitions stand in which a subject has live sessions, and those named; and its signals that are active, those that may be
-- returned (`session` empty: of all its sessions). A row is one or the other. One subject at a time: a plan for any number of them is one
-- that PostgreSQL makes anew each time, which costs more than all the rest.
-- A session's times may run ahead of ours by what its first request was slower than the others: see automaton.sequencing.
SELECT standing.pp, standing.position, standing.silent_ms, active.id, active.revision, active.definition, active.version, active.hash,
    active.kind, active.strength, active.warrants, active.internal, active.purpose, active.categories, active.session, active.subject, active.per,
    active.fields, active.count, active.evidence, active.first_at, active.at, active.expires_at, active.ledger_index, active.bundle
FROM (
    SELECT pp, position, (extract(EPOCH FROM now() - seen_at) * 1000)::bigint AS silent_ms FROM partitions
    WHERE pp = ANY (:pps::smallint [] || ARRAY(SELECT live.pp FROM session_state AS live WHERE live.subject = :subject))
) AS standing
FULL JOIN (
    SELECT id, revision, definition, version, hash, kind, strength, warrants, internal, purpose, categories, session, subject, per, fields, count,
        evidence, first_at, at, expires_at, ledger_index, bundle
    FROM signals
    WHERE subject = :subject AND (:session = '' OR session = :session)
        AND at <= :latest_ms AND expires_at > :now_ms AND ended_at IS NULL AND NOT internal AND NOT shadow
) AS active ON FALSE;

-- name: running_signals(subjects, now_ms)
-- Everything of these subjects that has not expired, hidden or not: what a withdrawal may end.
SELECT id, purpose, categories, channel FROM signals
WHERE subject = ANY (:subjects::text []) AND expires_at > :now_ms AND ended_at IS NULL;

-- name: sessions_of(subjects)
-- Live sessions of subjects.
SELECT session, pp, visitor, subject, channel FROM session_state WHERE subject = ANY (:subjects::text []) ORDER BY session;

-- name: channels_of(subject)
-- The channels on which a subject has a session or a signal.
SELECT channel FROM session_state WHERE subject = :subject
UNION
SELECT channel FROM signals WHERE subject = :subject AND ended_at IS NULL
ORDER BY channel;

-- name: subject_of(session)$
-- Whose a session is.
SELECT subject FROM session_state WHERE session = :session
UNION ALL
SELECT subject FROM signals WHERE session = :session
LIMIT 1;

-- name: forgotten_before(request_id)$
-- The answer to a request that was obeyed before.
SELECT rows_removed FROM forgotten WHERE request_id = :request_id;

-- name: forget_subject(request_id, subject)$
-- Delete a subject's states, signals and unpublished facts of these; counts stay.
WITH gone_signals AS (
    DELETE FROM signals WHERE subject = :subject RETURNING id
), gone_changes AS (
    DELETE FROM signal_changes WHERE id IN (SELECT id FROM gone_signals) RETURNING id
), gone_sessions AS (
    DELETE FROM session_state WHERE subject = :subject RETURNING session
), gone AS (
    SELECT (SELECT count(*) FROM gone_signals) + (SELECT count(*) FROM gone_changes) + (SELECT count(*) FROM gone_sessions) AS rows
)
INSERT INTO forgotten (request_id, rows_removed) SELECT :request_id, rows FROM gone
ON CONFLICT (request_id) DO UPDATE SET request_id = excluded.request_id
RETURNING rows_removed;
