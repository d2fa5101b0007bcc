"""Projects: how many days of tasks they keep, and when they were deleted."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute(
        """
        alter table projects
            add column retention_days int constraint projects_retention_days check (retention_days between 1 and 3650),
            add column deleted_at timestamptz,
            add column deleted_by uuid references users
        """
    )


def downgrade() -> None:
    op.execute("alter table projects drop column retention_days, drop column deleted_at, drop column deleted_by")
