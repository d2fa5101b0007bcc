"""Whether intake masks secrets of a project that the sender did not mask."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.execute("alter table projects add column masking boolean not null default true")


def downgrade() -> None:
    op.execute("alter table projects drop column masking")
