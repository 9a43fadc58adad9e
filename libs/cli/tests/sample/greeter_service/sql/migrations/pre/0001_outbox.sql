-- migrate:up
CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    subject text NOT NULL,
    envelope bytea NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now()
);
-- migrate:down
