"""Identity's tables. ``HEAD`` is the newest revision; it lets ``migrate`` detect a current database without loading alembic."""

HEAD = "0018"
