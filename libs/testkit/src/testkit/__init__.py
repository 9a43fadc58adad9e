"""Real NATS and PostgreSQL for tests, fakes and builders."""
