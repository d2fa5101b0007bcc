"""The audit log: an outcome, addresses beside it under a MAC, a hash chain per project with monthly checkpoints, and triggers that refuse changes."""

from alembic import op

revision = "0008"
down_revision = "0007"

# a safety rail for the owner of the tables; where the role ams_audit owns them, identity's role has no privilege to begin with
REFUSE = """
create function audit_refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_setting('ams.audit_expire', true) = 'on' then
        return old;
    end if;
    raise exception 'the audit log is append-only' using errcode = '42501';
end
$$
"""
EXPIRE = """
create function audit_expire(before timestamptz) returns bigint language plpgsql security definer set search_path = public, pg_temp as $$
declare
    removed bigint;
begin
    -- a role that can only call this cannot remove what happened in the last month
    before := date_trunc('month', least(before, now() - interval '31 days'));
    perform set_config('ams.audit_expire', 'on', true);
    -- what remains of a chain begins after a checkpoint
    delete from audit_chain c where c.seq <= (
        select max(k.seq) from audit_checkpoints k join audit_chain e using (project_id, seq) join audit a on a.audit_id = e.audit_id
        where k.project_id = c.project_id and a.at < before
    );
    delete from audit a where a.at < before and not exists (select from audit_chain c where c.audit_id = a.audit_id);
    get diagnostics removed = row_count;
    perform set_config('ams.audit_expire', 'off', true);
    return removed;
end
$$
"""

UP = (
    "alter table audit add column outcome text not null default 'ok', add column address_mac bytea",
    "alter table audit alter column outcome drop default",
    """
    create table audit_addresses (
        audit_id bigint primary key,
        salt bytea not null,
        address inet not null
    )
    """,
    "comment on table audit_addresses is 'Addresses of audit entries. A row can be erased; audit.address_mac still proves one that is known.'",
    # addresses from before have no MAC: the chain begins without them
    "insert into audit_addresses (audit_id, salt, address) select audit_id, ''::bytea, address from audit where address is not null",
    "alter table audit drop column address",
    """
    create table audit_chain (
        project_id uuid not null,
        seq bigint not null,
        audit_id bigint not null unique,
        hash bytea not null,
        primary key (project_id, seq)
    )
    """,
    "comment on table audit_chain is 'The order of the audit entries of a project and their chained hashes; entries of no project are under the nil UUID.'",
    """
    create table audit_checkpoints (
        project_id uuid not null,
        month date not null,
        seq bigint not null,
        hash bytea not null,
        mac bytea not null,
        primary key (project_id, month)
    )
    """,
    "comment on table audit_checkpoints is 'The end of a chain before the first entry of a month, under a MAC of AMS_SECRET_KEY.'",
    REFUSE,
    EXPIRE,
    *(
        statement
        for table in ("audit", "audit_chain", "audit_checkpoints")
        for statement in (
            f"create trigger {table}_rows before update or delete on {table} for each row execute function audit_refuse_change()",
            f"create trigger {table}_truncate before truncate on {table} for each statement execute function audit_refuse_change()",
        )
    ),
)
DOWN = (
    *(
        f"drop trigger {table}_{kind} on {table}"
        for table in ("audit", "audit_chain", "audit_checkpoints")
        for kind in ("rows", "truncate")
    ),
    "drop function audit_expire",
    "drop function audit_refuse_change",
    "alter table audit add column address inet",
    "update audit a set address = p.address from audit_addresses p where p.audit_id = a.audit_id",
    "drop table audit_addresses, audit_chain, audit_checkpoints",
    "alter table audit drop column outcome, drop column address_mac",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
