-- name: share_learning()
-- Learn beside other partitions; an unlearning waits for us and we for it.
SELECT pg_advisory_xact_lock_shared(hashtextextended('learner.' || current_schema(), 0));

-- name: stop_learning()
-- Unlearn alone: whatever was being learned is committed, and nothing new begins until we are.
SELECT pg_advisory_xact_lock(hashtextextended('learner.' || current_schema(), 0));

-- name: note_decisions(decisions, subjects, channels, known_ms)!
-- Make sure that each decision has a row; a row that somebody else is just writing is waited for.
INSERT INTO learner_decision (decision_id, state, subject_id, channel, known_ms)
SELECT decision_id, 'AWAITED', subject_id, channel, :known_ms::bigint
FROM unnest(:decisions::text [], :subjects::text [], :channels::text []) AS noted (decision_id, subject_id, channel)
ORDER BY decision_id
ON CONFLICT DO NOTHING;

-- name: add_decisions(decisions, states, subjects, channels, arms, versions, known_ms)
-- Open or close decisions of which nothing is known; gives back which these are. A row that somebody else is just writing is waited for.
INSERT INTO learner_decision (decision_id, state, subject_id, channel, known_ms, arm, snapshot_version)
SELECT decision_id, state, subject_id, channel, :known_ms::bigint, arm, version
FROM unnest(
    :decisions::text [], :states::text [], :subjects::text [], :channels::text [], :arms::text [], :versions::bigint []
) AS new (decision_id, state, subject_id, channel, arm, version)
ORDER BY decision_id
ON CONFLICT DO NOTHING
RETURNING decision_id;

-- name: lock_decisions(decisions)
-- The states of these decisions, which stay what they are until we commit.
SELECT decision_id, state FROM learner_decision WHERE decision_id = ANY(:decisions::text []) ORDER BY decision_id FOR UPDATE;

-- name: open_decisions(decisions, subjects, channels, arms, versions)!
-- These decisions may be learned from.
UPDATE learner_decision SET
    state = 'LEARNABLE', subject_id = opened.subject_id, channel = opened.channel,
    arm = opened.arm, snapshot_version = opened.version
FROM unnest(:decisions::text [], :subjects::text [], :channels::text [], :arms::text [], :versions::bigint [])
    AS opened (id, subject_id, channel, arm, version)
WHERE decision_id = opened.id;

-- name: close_decisions(decisions)!
-- Nothing is learned from these decisions; whose they were is forgotten.
UPDATE learner_decision SET state = 'CLOSED', subject_id = NULL, channel = NULL, arm = NULL, snapshot_version = NULL
WHERE decision_id = ANY(:decisions::text []);

-- name: add_items(decisions, actions, placements, slots, models, contexts, kinds, windows)!
-- What was placed.
INSERT INTO learner_item (decision_id, action, placement, slot, model, context, positive_kind, window_ms)
SELECT * FROM unnest(
    :decisions::text [], :actions::text [], :placements::text [], :slots::integer [],
    :models::text [], :contexts::text [], :kinds::text [], :windows::bigint []
);

-- name: add_outcomes(outcomes, decisions, actions, kinds, times, replaced)
-- Keep outcomes of items and of awaited decisions; gives back which are new.
INSERT INTO learner_outcome (outcome_id, decision_id, action, kind, at_ms, replaces)
SELECT new.outcome_id, new.decision_id, new.action, new.kind, new.at_ms, new.replaces
FROM unnest(
    :outcomes::text [], :decisions::text [], :actions::text [], :kinds::text [], :times::bigint [], :replaced::text []
) AS new (outcome_id, decision_id, action, kind, at_ms, replaces)
INNER JOIN learner_decision AS decision USING (decision_id)
WHERE decision.state = 'AWAITED'
    OR (
        decision.state = 'LEARNABLE'
        AND EXISTS (SELECT FROM learner_item AS item WHERE item.decision_id = new.decision_id AND item.action = new.action)
    )
ORDER BY new.outcome_id
ON CONFLICT DO NOTHING
RETURNING decision_id, action;

-- name: items(decisions, actions)
-- These items and what each adds to the sums now.
SELECT decision_id, action, model, context, positive_kind, window_ms, week, label
FROM learner_item WHERE (decision_id, action) IN (SELECT * FROM unnest(:decisions::text [], :actions::text []));

-- name: outcomes_of(decisions, actions)
-- Every outcome of these items.
SELECT decision_id, action, outcome_id, kind, at_ms, replaces
FROM learner_outcome WHERE (decision_id, action) IN (SELECT * FROM unnest(:decisions::text [], :actions::text []));

-- name: drop_strangers(decisions)!
-- Forget parked outcomes of actions that were not placed.
DELETE FROM learner_outcome AS outcome
WHERE decision_id = ANY(:decisions::text [])
    AND NOT EXISTS (
        SELECT FROM learner_item AS item WHERE item.decision_id = outcome.decision_id AND item.action = outcome.action
    );

-- name: relabel(decisions, actions, weeks, labels)!
-- What these items add to the sums from now on.
UPDATE learner_item AS item SET week = new.week, label = new.label
FROM unnest(:decisions::text [], :actions::text [], :weeks::bigint [], :labels::boolean [])
    AS new (decision_id, action, week, label)
WHERE item.decision_id = new.decision_id AND item.action = new.action;

-- name: add_deltas(models, actions, contexts, weeks, trials, positives)!
-- Contributions for the builder.
INSERT INTO learner_delta (model, action, context, week, trials, positives)
SELECT * FROM unnest(
    :models::text [], :actions::text [], :contexts::text [], :weeks::bigint [], :trials::bigint [], :positives::bigint []
);

-- name: barriers(subjects)
-- What must not be learned of these subjects.
SELECT subject_id, channel, until_ms, ledger_index FROM unlearned WHERE subject_id = ANY(:subjects::text []);

-- name: raise_barrier(subject_id, channel, until_ms, ledger_index, noted_ms)!
-- Nothing older is learned of a subject; channel "*" is all.
INSERT INTO unlearned (subject_id, channel, until_ms, ledger_index, noted_ms)
VALUES (:subject_id, :channel, :until_ms, :ledger_index, :noted_ms)
ON CONFLICT (subject_id, channel) DO UPDATE SET
    until_ms = greatest(unlearned.until_ms, excluded.until_ms),
    ledger_index = greatest(unlearned.ledger_index, excluded.ledger_index),
    noted_ms = excluded.noted_ms;

-- name: channels_of(subject_id)
-- The channels on which something is known of a subject.
SELECT DISTINCT channel FROM learner_decision WHERE subject_id = :subject_id ORDER BY channel;

-- name: decisions_of(subject_id, channels)
-- A subject's decisions on these channels; null is all of them.
SELECT decision_id FROM learner_decision
WHERE subject_id = :subject_id AND (:channels::text [] IS NULL OR channel = ANY(:channels::text []))
ORDER BY decision_id FOR UPDATE;

-- name: remove_items(decisions)
-- Forget items; gives back what they added to the sums.
DELETE FROM learner_item WHERE decision_id = ANY(:decisions::text []) RETURNING model, action, context, week, label;

-- name: remove_outcomes(decisions)!
-- Forget outcomes.
DELETE FROM learner_outcome WHERE decision_id = ANY(:decisions::text []);

-- name: forgotten(id)^
-- The answer of an earlier request to forget.
SELECT rows_removed, snapshot_version FROM forget_request WHERE id = :id;

-- name: add_forgotten(id, rows_removed, snapshot_version)!
-- Remember the answer of a request to forget.
INSERT INTO forget_request (id, rows_removed, snapshot_version) VALUES (:id, :rows_removed, :snapshot_version)
ON CONFLICT DO NOTHING;

-- name: position_of(stream, partition)^
-- How far a partition is folded.
SELECT seq, epoch FROM learner_position WHERE stream = :stream AND partition = :partition;

-- name: move_position(stream, partition, seq, epoch)!
-- A partition is folded up to here; "INSERT 0 0" when a newer lease was here.
INSERT INTO learner_position (stream, partition, seq, epoch) VALUES (:stream, :partition, :seq, :epoch)
ON CONFLICT (stream, partition) DO UPDATE SET seq = greatest(learner_position.seq, excluded.seq), epoch = excluded.epoch
WHERE learner_position.epoch <= excluded.epoch;

-- name: move_positions(streams, partitions, seqs, epochs)
-- Partitions are folded up to there; gives back those that no newer lease has.
INSERT INTO learner_position (stream, partition, seq, epoch)
SELECT * FROM unnest(:streams::text [], :partitions::integer [], :seqs::bigint [], :epochs::bigint [])
ON CONFLICT (stream, partition) DO UPDATE SET seq = greatest(learner_position.seq, excluded.seq), epoch = excluded.epoch
WHERE learner_position.epoch <= excluded.epoch
RETURNING partition;

-- name: try_to_build()$
-- Become the one builder of this transaction; false while another is at work.
SELECT pg_try_advisory_xact_lock(hashtextextended('builder.' || current_schema(), 0));

-- name: wait_to_build()
-- Become the one builder of this transaction.
SELECT pg_advisory_xact_lock(hashtextextended('builder.' || current_schema(), 0));

-- name: take_deltas()
-- Contributions to add, each once: they are gone when this transaction commits.
WITH taken AS (DELETE FROM learner_delta RETURNING model, action, context, week, trials, positives)
SELECT model, action, context, week, sum(trials)::bigint AS trials, sum(positives)::bigint AS positives
FROM taken GROUP BY model, action, context, week ORDER BY model, action, context, week;

-- name: add_to_state(models, actions, contexts, weeks, trials, positives)!
-- Integer addition.
INSERT INTO learner_state AS state (model, action, context, week, trials, positives)
SELECT * FROM unnest(
    :models::text [], :actions::text [], :contexts::text [], :weeks::bigint [], :trials::bigint [], :positives::bigint []
)
ON CONFLICT (model, action, context, week) DO UPDATE SET
    trials = state.trials + excluded.trials, positives = state.positives + excluded.positives;

-- name: drop_empty_state()!
-- Sums of which nothing is left are as if they had never been.
DELETE FROM learner_state WHERE trials = 0 AND positives = 0;

-- name: state()
-- The sums, over all weeks.
SELECT model, action, context, sum(trials)::bigint AS trials, sum(positives)::bigint AS positives
FROM learner_state GROUP BY model, action, context ORDER BY model, action, context;

-- name: has_deltas()$
-- Whether there is anything to add.
SELECT EXISTS (SELECT FROM learner_delta);

-- name: newest_version()^
-- The latest version and its time, without its body.
SELECT version, as_of_ms FROM snapshot ORDER BY version DESC LIMIT 1;

-- name: newest_snapshot()^
-- The latest version that was built.
SELECT version, digest, body FROM snapshot ORDER BY version DESC LIMIT 1;

-- name: snapshot_of(version)^
-- One version.
SELECT version, digest, body FROM snapshot WHERE version = :version;

-- name: add_snapshot(version, digest, as_of_ms, body)!
-- A version that was just built.
INSERT INTO snapshot (version, digest, as_of_ms, body) VALUES (:version, :digest, :as_of_ms, :body);

-- name: unpublished_snapshots()
-- What the bucket does not have for certain.
SELECT version, digest, body FROM snapshot WHERE NOT published ORDER BY version;

-- name: mark_published(version)!
-- The bucket has it.
UPDATE snapshot SET published = TRUE WHERE version = :version;

-- name: drop_passing(before_ms)!
-- Forget what waited longer than any stream keeps its decision, and decisions that are closed as long.
DELETE FROM learner_decision WHERE state <> 'LEARNABLE' AND known_ms < :before_ms;

-- name: drop_barriers(before_ms)!
-- Barriers that no decision can reach any more.
DELETE FROM unlearned WHERE noted_ms < :before_ms;
