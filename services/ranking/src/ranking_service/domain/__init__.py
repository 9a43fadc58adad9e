"""The rules of ranking, pure: time, ids, seeds and tables are arguments; integers and four float operations."""
