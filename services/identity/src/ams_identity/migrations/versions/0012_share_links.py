"""Public links to single tasks. Their secrets are stored as SHA-256."""

from alembic import op

revision = "0012"
down_revision = "0011"

UP = (
    """
    create table share_links (
        project_id uuid not null references projects,
        link_id uuid not null unique,
        secret_hash bytea not null unique,
        task_id text not null check (task_id ~ '^[0-9a-f]{32}$'),
        payloads boolean not null,
        created_by uuid not null references users,
        created_at timestamptz not null,
        expires_at timestamptz not null,
        last_used_at timestamptz,
        revoked_at timestamptz,
        primary key (project_id, link_id)
    )
    """,
    "create index share_links_expires on share_links (expires_at)",
)
DOWN = ("drop table share_links",)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
