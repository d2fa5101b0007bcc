"""When backups began: a restored database needs every later record of the log."""

from ams_trace_ingest.migrations.generation_sql import run_script

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE public.backups (
    began_at timestamptz NOT NULL PRIMARY KEY
);
GRANT SELECT, DELETE ON public.backups TO ams_writer;
"""


def upgrade() -> None:
    run_script(TABLE)


def downgrade() -> None:
    raise NotImplementedError("the database is migrated forward only")
