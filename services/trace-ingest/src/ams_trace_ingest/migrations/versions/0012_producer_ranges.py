"""Sequence numbers that count as delivered without proof."""

from pathlib import Path

from alembic import op
from sqlalchemy import text

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    sql = (Path(__file__).parents[1] / "producer_ranges.sql").read_text()
    for name in connection.execute(text("SELECT name FROM public.generations ORDER BY name")).scalars().all():
        filled_in = sql.replace("{schema}", name)
        connection.connection.dbapi_connection.run_async(lambda driver, filled_in=filled_in: driver.execute(filled_in))


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
