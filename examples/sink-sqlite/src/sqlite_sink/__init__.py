"""Usage events as rows in SQLite."""
