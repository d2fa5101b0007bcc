"""The administrator of an installation, and one-time links that reset a password. The oldest account of a person becomes the administrator."""

from alembic import op

revision = "0010"
down_revision = "0009"

UP = (
    "alter table users add column administrator boolean not null default false",
    # the mark of the administrator is no change that a person made
    "alter table users disable trigger user",
    """
    update users set administrator = true
    where id = (select id from users where kind = 'person' and deleted_at is null order by created_at, id limit 1)
    """,
    "alter table users enable trigger user",
    """
    create table password_resets (
        user_id uuid primary key references users,
        token_hash bytea not null unique,
        created_by uuid not null references users,
        created_at timestamptz not null,
        expires_at timestamptz not null
    )
    """,
)
DOWN = ("drop table password_resets", "alter table users drop column administrator")


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
