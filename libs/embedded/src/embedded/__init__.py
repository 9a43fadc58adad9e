"""Real PostgreSQL and NATS servers from wheels, for development and tests."""
