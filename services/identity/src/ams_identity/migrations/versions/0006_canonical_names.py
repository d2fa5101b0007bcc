"""Users: the canonical forms of username and email address, computed by the service, in unique columns."""

from alembic import op

revision = "0006"
down_revision = "0005"

UP = (
    "alter table users add column username_key text, add column email_key text",
    # names and addresses were ASCII until now, whose canonical form is lower case
    "alter table users disable trigger users_updated_at",
    "update users set username_key = lower(username), email_key = lower(email)",
    "alter table users enable trigger users_updated_at",
    "alter table users alter column username_key set not null, alter column email_key set not null",
    "drop index users_username_lower, users_email_lower",
    "alter table users add constraint users_username_key unique (username_key), add constraint users_email_key unique (email_key)",
)
DOWN = (
    "create unique index users_username_lower on users (lower(username))",
    "create unique index users_email_lower on users (lower(email))",
    "alter table users drop column username_key, drop column email_key",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
