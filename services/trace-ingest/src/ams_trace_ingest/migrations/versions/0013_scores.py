"""Scores of tasks and steps, and what producers report of their losses."""

from pathlib import Path
from typing import Any

from alembic import op
from sqlalchemy import text

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    adapted: Any = op.get_bind().connection.dbapi_connection  # SQLAlchemy's adapter of asyncpg's connection
    sql = (Path(__file__).parents[1] / "scores.sql").read_text()
    for name in op.get_bind().execute(text("SELECT name FROM public.generations ORDER BY name")).scalars().all():
        filled_in = sql.replace("{schema}", name)
        adapted.run_async(lambda connection, filled_in=filled_in: connection.execute(filled_in))  # pyright: ignore[reportUnknownLambdaType]  the same


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
