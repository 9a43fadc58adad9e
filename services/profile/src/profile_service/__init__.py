"""The profile service: who the subject is, as far as we may know."""
