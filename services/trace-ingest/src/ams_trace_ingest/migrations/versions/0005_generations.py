"""What a generation was built with, and since when it serves."""

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().execute(text("ALTER TABLE public.generations ADD COLUMN prices jsonb, ADD COLUMN current_since timestamptz"))


def downgrade() -> None:
    raise NotImplementedError("the tables are a projection of the log: drop the database and replay")
