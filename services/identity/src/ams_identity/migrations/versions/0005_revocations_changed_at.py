"""When a revocation was written: one that never reached Redis differs from one that is on its way by its age."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("alter table revocations add column changed_at timestamptz not null default clock_timestamp()")


def downgrade() -> None:
    op.execute("alter table revocations drop column changed_at")
