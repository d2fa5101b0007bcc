"""Identity's tables. ``HEAD`` is the newest revision: a database that is there already is seen without loading alembic."""

HEAD = "0004"
