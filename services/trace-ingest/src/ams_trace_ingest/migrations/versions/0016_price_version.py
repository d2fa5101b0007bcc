"""The version of the prices that a generation was made with."""

from alembic import op
from sqlalchemy import text

from ams_trace_ingest.mapping.version import MAPPING_VERSION
from ams_trace_ingest.pricing.version import price_version

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    connection.execute(text("ALTER TABLE public.generations ADD COLUMN price_version text NOT NULL DEFAULT 'unknown'"))
    connection.execute(
        text("UPDATE public.generations SET mapper_version = :mapping, price_version = :prices"),
        {"mapping": MAPPING_VERSION, "prices": price_version()},
    )


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
