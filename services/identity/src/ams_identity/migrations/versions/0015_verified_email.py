"""When an account proved, by a link, that it reads its email address."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute("alter table users add column email_verified_at timestamptz")


def downgrade() -> None:
    op.execute("alter table users drop column email_verified_at")
