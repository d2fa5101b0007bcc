"""Invitations to projects, and accounts that were deleted."""

from alembic import op

revision = "0009"
down_revision = "0008"

UP = (
    """
    create table invitations (
        project_id uuid not null references projects,
        invitation_id uuid not null unique,
        token_hash bytea not null unique,
        role text not null check (role in ('viewer', 'member', 'owner')),
        created_by uuid not null references users,
        created_at timestamptz not null,
        expires_at timestamptz not null,
        accepted_by uuid references users,
        ended_at timestamptz,
        primary key (project_id, invitation_id)
    )
    """,
    "create index invitations_expires on invitations (expires_at)",
    "alter table users add column deleted_at timestamptz",
)
DOWN = ("drop table invitations", "alter table users drop column deleted_at")


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
