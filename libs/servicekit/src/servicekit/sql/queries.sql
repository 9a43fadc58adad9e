-- The queries of outbox and inbox, on the tables of outbox.sql and inbox.sql in the service's own schema.

-- name: add_to_outbox(event_id, subject, envelope)!
-- Keep a fact until it is published, and wake the relay when this transaction commits.
WITH added AS (
    INSERT INTO outbox (event_id, subject, envelope) VALUES (:event_id, :subject, :envelope) RETURNING position
)
SELECT pg_notify('outbox.' || current_schema(), '') FROM added;

-- name: next_in_outbox(at_most)
-- The oldest facts that nobody has published.
SELECT position, subject, envelope FROM outbox ORDER BY position LIMIT :at_most;

-- name: remove_from_outbox(positions)!
-- Forget facts that the stream has acknowledged.
DELETE FROM outbox WHERE position = ANY (:positions::bigint []);

-- name: try_to_lead_outbox()$
-- Become the one relay of this schema; false while another session is.
SELECT pg_try_advisory_lock(hashtextextended('outbox.' || current_schema(), 0));

-- name: outbox_channel()$
-- Where this schema's relay is woken.
SELECT 'outbox.' || current_schema();

-- name: outbox_backlog()^
-- How many facts wait, and for how many seconds the oldest has.
SELECT count(*) AS waiting, coalesce(extract(EPOCH FROM now() - min(added_at)), 0)::float8 AS oldest_s FROM outbox;

-- name: add_to_inbox(event_id)!
-- Remember an event; "INSERT 0 0" when it is known.
INSERT INTO inbox (event_id) VALUES (:event_id) ON CONFLICT DO NOTHING;

-- name: remove_from_inbox(keep_days)!
-- Forget events that are older than any stream can repeat them.
DELETE FROM inbox WHERE seen_at < now() - make_interval(days => :keep_days);
