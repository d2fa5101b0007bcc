"""Second factors: authenticator apps, recovery codes and passkeys; when a session last proved who uses it; projects that require a second factor."""

from alembic import op

revision = "0013"
down_revision = "0012"

UP = (
    """
    create table totp_factors (
        user_id uuid primary key references users,
        sealed_secret bytea not null,
        created_at timestamptz not null,
        confirmed_at timestamptz,
        last_step bigint not null default 0
    )
    """,
    "comment on column totp_factors.last_step is 'The time step (30 s) of the last accepted code: a code is used once.'",
    """
    create table recovery_codes (
        user_id uuid not null references users,
        code_hash bytea not null,
        created_at timestamptz not null,
        used_at timestamptz,
        primary key (user_id, code_hash)
    )
    """,
    """
    create table passkeys (
        user_id uuid not null references users,
        passkey_id uuid not null unique,
        credential_id bytea not null unique,
        public_key bytea not null,
        sign_count bigint not null,
        transports text[] not null,
        name text not null,
        created_at timestamptz not null,
        last_used_at timestamptz,
        primary key (user_id, passkey_id)
    )
    """,
    """
    create table spent_challenges (
        challenge_hash bytea primary key,
        expires_at timestamptz not null
    )
    """,
    "comment on table spent_challenges is 'Challenges that were answered, until they expire: each is answered once.'",
    "create index spent_challenges_expires on spent_challenges (expires_at)",
    "alter table sessions add column proved_at timestamptz",
    "comment on column sessions.proved_at is 'When the person last proved who they are in this session; dangerous actions need a recent proof.'",
    "alter table projects add column second_factor_required boolean not null default false",
)
DOWN = (
    "drop table totp_factors, recovery_codes, passkeys, spent_challenges",
    "alter table sessions drop column proved_at",
    "alter table projects drop column second_factor_required",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
