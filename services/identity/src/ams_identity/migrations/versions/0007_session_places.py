"""Sessions: from where, and with which program."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("alter table sessions add column address inet, add column user_agent text")


def downgrade() -> None:
    op.execute("alter table sessions drop column address, drop column user_agent")
