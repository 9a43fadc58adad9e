"""A service of one table, for tests of the stack."""
