"""Which decisions relied on what: each recorded basis is verified again, and each purpose that was used becomes a row.

`assessing` judges (pure), `decisions` reads records, `folding` listens to DECISIONS, `store` keeps.
"""
