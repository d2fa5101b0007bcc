"""API keys know from where they may be used and who used them last; accounts of kind service; quotas of projects and their usage by day."""

from alembic import op

revision = "0016"
down_revision = "0015"

UP = (
    """
    alter table api_keys add column addresses text[], add column last_used_address inet, add column last_used_program text, add column replaced_by text
    """,
    "alter table users drop constraint users_kind_check",
    "alter table users add constraint users_kind_check check (kind in ('person', 'machine', 'service'))",
    # usernames are unique; service accounts of two projects may have the same name
    "alter table users add column service_name text",
    """
    alter table projects
        add column events_per_minute_max bigint, add column bytes_per_day_max bigint, add column retention_days_max int,
        add column events_per_minute bigint, add column bytes_per_day bigint
    """,
    """
    create table usage_days (
        project_id uuid not null references projects,
        day date not null,
        events bigint not null,
        bytes bigint not null,
        primary key (project_id, day)
    )
    """,
    "create index usage_of_day on usage_days (day)",
)
DOWN = (
    "drop table usage_days",
    """
    alter table projects
        drop column events_per_minute_max, drop column bytes_per_day_max, drop column retention_days_max,
        drop column events_per_minute, drop column bytes_per_day
    """,
    "update users set kind = 'machine' where kind = 'service'",
    "alter table users drop column service_name",
    "alter table users drop constraint users_kind_check",
    "alter table users add constraint users_kind_check check (kind in ('person', 'machine'))",
    "alter table api_keys drop column addresses, drop column last_used_address, drop column last_used_program, drop column replaced_by",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
