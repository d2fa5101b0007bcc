"""Run by alembic, with a connection that ``upgrade.py`` has opened and locked."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="trace_ingest_version",
    version_table_schema="public",
    transaction_per_migration=False,
)

with context.begin_transaction():
    context.run_migrations()
