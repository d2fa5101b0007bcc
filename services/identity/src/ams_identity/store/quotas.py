"""The quotas of table ``projects``, and table ``usage_days``."""

from collections.abc import Sequence
from datetime import date, datetime

from msgspec import Struct

from ams_contracts.claims import Quota
from ams_identity.quota_rules import ProjectQuotas
from ams_identity.store import Executor

_COLUMNS = "events_per_minute_max, bytes_per_day_max, retention_days_max, events_per_minute, bytes_per_day"


class UsageDay(Struct, frozen=True, kw_only=True):
    """What a project sent on a UTC day: events that were accepted, and the bytes that they have in the log, before compression."""

    day: date
    events: int
    bytes: int


class ManagedProject(Struct, frozen=True, kw_only=True):
    """A project as the administrator sees it: no contents.

    Attributes:
        owners: Usernames, at most 5.
        events_30_days: Of the last 30 UTC days and today.
        bytes_30_days: Of the same time.
        quotas: What is set for it.
    """

    project_id: str
    name: str
    created_at: datetime
    members: int
    owners: list[str]
    events_30_days: int
    bytes_30_days: int
    quotas: ProjectQuotas


async def of_project(database: Executor, project_id: str) -> ProjectQuotas:
    """What is set for a project."""
    row = await database.fetchrow(f"select {_COLUMNS} from projects where project_id = $1", project_id)
    return ProjectQuotas() if row is None else ProjectQuotas(**dict(row))


async def set_by_administrator(database: Executor, project_id: str, quota: Quota, retention_days: int | None) -> None:
    """Set the highest quota of a project."""
    await database.execute(
        "update projects set events_per_minute_max = $2, bytes_per_day_max = $3, retention_days_max = $4 where project_id = $1",
        project_id,
        quota.events_per_minute,
        quota.bytes_per_day,
        retention_days,
    )


async def set_by_owner(database: Executor, project_id: str, quota: Quota) -> None:
    """Set the quota that a project gives itself."""
    await database.execute(
        "update projects set events_per_minute = $2, bytes_per_day = $3 where project_id = $1",
        project_id,
        quota.events_per_minute,
        quota.bytes_per_day,
    )


async def record_usage(database: Executor, day: date, counts: Sequence[tuple[str, int, int]]) -> None:
    """Store the counts of a day: (project, events, bytes). Counts only grow, and projects that do not exist are left out."""
    await database.execute(
        """
        insert into usage_days (project_id, day, events, bytes)
        select c.project_id, $1, c.events, c.bytes
        from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as c (project_id, events, bytes) join projects using (project_id)
        on conflict (project_id, day) do update
        set events = greatest(usage_days.events, excluded.events), bytes = greatest(usage_days.bytes, excluded.bytes)
        """,
        day,
        [project for project, _, _ in counts],
        [events for _, events, _ in counts],
        [size for _, _, size in counts],
    )


async def usage_of(database: Executor, project_id: str, since: date) -> list[UsageDay]:
    """The days since one on which a project sent something, newest first; at most 400."""
    rows = await database.fetch(
        "select day, events, bytes from usage_days where project_id = $1 and day >= $2 order by day desc limit 400", project_id, since
    )
    return [UsageDay(**dict(row)) for row in rows]


async def delete_usage(database: Executor, before: date) -> None:
    """Delete the counts of days before one."""
    await database.execute("delete from usage_days where day < $1", before)


async def managed_projects(database: Executor, *, since: date, after: str | None, limit: int) -> list[ManagedProject]:
    """The projects of the installation, oldest first, with their usage since a day."""
    rows = await database.fetch(
        f"""
        select p.project_id, p.name, p.created_at, {", ".join(f"p.{name}" for name in _COLUMNS.split(", "))},
            (select count(*) from members m where m.project_id = p.project_id) as members,
            array(
                select u.username from members m join users u on u.id = m.user_id
                where m.project_id = p.project_id and m.role = 'owner' order by m.created_at limit 5
            ) as owners,
            coalesce(d.events, 0)::bigint as events, coalesce(d.bytes, 0)::bigint as bytes
        from projects p
        left join lateral (select sum(events) as events, sum(bytes) as bytes from usage_days u where u.project_id = p.project_id and u.day >= $1) d on true
        where p.deleted_at is null and ($2::uuid is null or p.project_id > $2)
        order by p.project_id limit $3
        """,
        since,
        after,
        limit,
    )
    return [
        ManagedProject(
            project_id=str(row["project_id"]),
            name=row["name"],
            created_at=row["created_at"],
            members=row["members"],
            owners=row["owners"],
            events_30_days=row["events"],
            bytes_30_days=row["bytes"],
            quotas=ProjectQuotas(**{name: row[name] for name in _COLUMNS.split(", ")}),
        )
        for row in rows
    ]
