"""The first tables of identity."""

from alembic import op

revision = "0001"
down_revision = None

UP = """
create table users (
    user_id uuid primary key,
    username text not null,
    username_key text not null,
    email text not null,
    email_key text not null,
    password_hash text,
    created_at timestamptz not null,
    disabled_at timestamptz,
    constraint users_username_key unique (username_key),
    constraint users_email_key unique (email_key)
);

create table sessions (
    session_id uuid primary key,
    user_id uuid not null references users,
    salt bytea not null,
    generation int not null,
    created_at timestamptz not null,
    rotated_at timestamptz not null,
    expires_at timestamptz not null,
    ended_at timestamptz,
    end_reason text
);
create index sessions_of_user on sessions (user_id) where ended_at is null;
create index sessions_expires on sessions (expires_at);

create table revocations (
    field text primary key,
    until_s bigint not null,
    expires_at_s bigint not null,
    user_id uuid not null,
    session_id uuid,
    jti text,
    pushed boolean not null default false
);
create index revocations_unpushed on revocations (field) where not pushed;
create index revocations_expires on revocations (expires_at_s);
comment on table revocations is 'The truth about revoked tokens; Redis holds a copy for speed. Rows leave when the last token they concern has expired.';

create table projects (
    project_id uuid primary key,
    name text not null,
    created_by uuid not null references users,
    created_at timestamptz not null
);

create table members (
    project_id uuid not null references projects,
    user_id uuid not null references users,
    role text not null check (role in ('viewer', 'member', 'owner')),
    created_at timestamptz not null,
    primary key (project_id, user_id)
);
create index members_of_user on members (user_id, project_id);

create table api_keys (
    project_id uuid not null references projects,
    key_id text not null,
    name text not null,
    secret_hash bytea not null,
    scopes text[] not null,
    created_by uuid references users,
    created_at timestamptz not null,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    primary key (project_id, key_id),
    constraint api_keys_key_id unique (key_id)
);

create table signing_keys (
    kid text primary key,
    public_key bytea not null,
    nonce bytea not null,
    wrapped_key bytea not null,
    created_at timestamptz not null,
    retired_at timestamptz
);
comment on table signing_keys is 'Ed25519; the private key is AES-GCM wrapped by AMS_SECRET_KEY.';

create table signin_codes (
    code_hash bytea primary key,
    user_id uuid not null references users,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz
);

create table audit (
    audit_id bigint generated always as identity primary key,
    at timestamptz not null,
    action text not null,
    user_id uuid,
    project_id uuid,
    subject text,
    address inet
);
create index audit_of_user on audit (user_id, at);
create index audit_of_project on audit (project_id, at);

create table outbox (
    outbox_id bigint generated always as identity primary key,
    key bytea not null,
    value bytea not null,
    created_at timestamptz not null
);
"""

DOWN = "drop table outbox, audit, signin_codes, signing_keys, api_keys, members, projects, revocations, sessions, users"


def upgrade() -> None:
    for statement in UP.split(";\n"):  # asyncpg prepares statements, which works for one statement at a time
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute(DOWN)
