"""Identities at OpenID providers, the roles that their groups give, and which role of a member people gave."""

from alembic import op

revision = "0018"
down_revision = "0017"

UP = (
    """
    create table identities (
        user_id uuid not null references users,
        identity_id uuid not null unique,
        issuer text not null,
        subject text not null,
        email text,
        second_factor boolean not null,
        created_at timestamptz not null,
        last_used_at timestamptz not null,
        sealed_id_token bytea,
        second_step bytea,
        primary key (user_id, identity_id),
        unique (issuer, subject)
    )
    """,
    "comment on column identities.second_step is 'SHA-256 of the challenge whose answer completes the last sign-in, of an account with a second factor.'",
    """
    create table group_roles (
        user_id uuid not null references users,
        issuer text not null,
        project_id uuid not null references projects,
        role text not null check (role in ('owner', 'member', 'viewer')),
        primary key (user_id, issuer, project_id)
    )
    """,
    "alter table members add column by_hand text check (by_hand in ('owner', 'member', 'viewer'))",
    "update members set by_hand = role",
    "comment on column members.by_hand is 'The role that people gave; null when only the groups of a provider give one.'",
    # services of the previous release, which do not know by_hand, run until the last one is replaced: what they write is by hand
    """
    create function members_by_hand() returns trigger language plpgsql as $$
    begin
        if new.by_hand is not distinct from old.by_hand and current_setting('ams.by_group', true) is distinct from 'on' then
            new.by_hand := new.role;
        end if;
        return new;
    end $$
    """,
    "create trigger members_by_hand before insert or update of role on members for each row execute function members_by_hand()",
    "alter table sessions add column identity_id uuid references identities (identity_id) on delete set null",
    "create index sessions_of_identity on sessions (identity_id) where identity_id is not null",
)
DOWN = (
    "alter table sessions drop column identity_id",
    "drop trigger members_by_hand on members",
    "drop function members_by_hand()",
    "delete from members where by_hand is null",
    "update members set role = by_hand",
    "alter table members drop column by_hand",
    "drop table group_roles, identities",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
