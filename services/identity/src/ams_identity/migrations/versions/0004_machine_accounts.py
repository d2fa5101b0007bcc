"""Machine accounts: marks the accounts that commands of the platform create, so that a person with the same name has no access to them."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("alter table users add column kind text not null default 'person' check (kind in ('person', 'machine'))")
    # until now, only commands created accounts without a password and with an address at localhost
    op.execute("update users set kind = 'machine' where password_hash is null and email like '%@localhost'")


def downgrade() -> None:
    op.execute("alter table users drop column kind")
