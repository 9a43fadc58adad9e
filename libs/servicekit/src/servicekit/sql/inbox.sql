-- Copy into a migration of the service: events that were handled (servicekit.inbox).
CREATE TABLE inbox (
    event_id text PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX inbox_seen_at ON inbox (seen_at);
