"""Signing keys have a time from which and until which they sign, and the root secret is stored under ``AMS_SECRET_KEY``."""

from alembic import op

revision = "0011"
down_revision = "0010"

UP = (
    "alter table signing_keys add column signs_from timestamptz, add column signs_until timestamptz",
    "alter table signing_keys alter column nonce drop not null, alter column wrapped_key drop not null",
    "update signing_keys set signs_from = created_at",
    """
    create table root_secret (
        id smallint primary key default 1 check (id = 1),
        nonce bytea not null,
        wrapped bytea not null,
        created_at timestamptz not null,
        wrapped_at timestamptz not null
    )
    """,
    "comment on table root_secret is 'What all keys of identity are derived from, AES-GCM wrapped by AMS_SECRET_KEY.'",
)
DOWN = (
    "drop table root_secret",
    "delete from signing_keys where wrapped_key is null or signs_from is null",
    "alter table signing_keys alter column nonce set not null, alter column wrapped_key set not null",
    "alter table signing_keys drop column signs_from, drop column signs_until",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
