"""Users: the column ``id``, unique ``username`` and ``email``, and ``updated_at``, which a trigger maintains."""

from alembic import op

revision = "0002"
down_revision = "0001"

# A trigger instead of the store: it also covers changes made by hand in psql, and statements added later.
TOUCH = """
create function set_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at := greatest(clock_timestamp(), old.updated_at);
    return new;
end
$$
"""

UP = (
    "alter table users rename column user_id to id",
    "alter table users drop constraint users_username_key, drop constraint users_email_key",
    "alter table users drop column username_key, drop column email_key",
    "alter table users add constraint users_username_unique unique (username), add constraint users_email_unique unique (email)",
    "create unique index users_username_lower on users (lower(username))",
    "create unique index users_email_lower on users (lower(email))",
    "alter table users add column updated_at timestamptz",
    "update users set updated_at = greatest(created_at, coalesce(disabled_at, created_at))",
    "alter table users alter column updated_at set not null",
    TOUCH,
    """
    create trigger users_updated_at before update on users
    for each row when (old.* is distinct from new.*) execute function set_updated_at()
    """,
)

DOWN = (
    "drop trigger users_updated_at on users",
    "drop function set_updated_at",
    "alter table users drop column updated_at",
    "drop index users_username_lower, users_email_lower",
    "alter table users drop constraint users_username_unique, drop constraint users_email_unique",
    "alter table users add column username_key text, add column email_key text",
    "update users set username_key = lower(username), email_key = lower(email)",
    "alter table users alter column username_key set not null, alter column email_key set not null",
    "alter table users add constraint users_username_key unique (username_key), add constraint users_email_key unique (email_key)",
    "alter table users rename column id to user_id",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
