"""Access and erasure. `cases` is the life of an erasure case (pure), `erasing` what it appends (pure), `certificate` its end (pure),
`running` takes the steps, `store` and `shredding` are PostgreSQL, `reconciling` makes both databases agree, `exporting` is a person's copy.
"""
