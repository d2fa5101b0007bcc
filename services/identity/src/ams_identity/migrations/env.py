"""Alembic's entry point: runs on the connection that ``upgrade.py`` provides, inside its transaction and under its lock."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
