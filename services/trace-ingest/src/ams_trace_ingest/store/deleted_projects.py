"""Deleted projects: a permanent row each, so that later events are ignored, and what is left of them in the tables."""

from collections.abc import Mapping

from msgspec import Struct

from ams_contracts.events import ProjectTombstone
from ams_trace_ingest.store.connections import Connection, affected

PROJECT_TABLES = (
    "hourly_rollups",
    "rollup_values",
    "agents",
    "dead_letters",
    "response_claims",
    "response_claims_overflow",
    "deleted_tasks",
    "task_days",
    "app.saved_views",
    "app.alert_due",
    "app.alert_outbox",
    "app.alert_deliveries",
    "app.alert_states",
    "app.alerts",
    "app.alert_rules",
    "app.share_links",
    "app.own_prices",
)
"""Tables whose rows of a project are left when its tasks are pruned, in the order of their deletion."""

_RECORD = """
INSERT INTO app.deleted_projects (project_id, deleted_by, at_us, tombstones) VALUES ($1, $2, $3, 1)
ON CONFLICT (project_id) DO UPDATE SET tombstones = deleted_projects.tombstones + 1
"""
_ANNOUNCED = """
INSERT INTO app.deleted_projects (project_id, deleted_by, at_us, announced) VALUES ($1, $2, $3, true)
ON CONFLICT (project_id) DO UPDATE SET announced = true
"""
_IS_ANNOUNCED = "SELECT announced FROM app.deleted_projects WHERE project_id = $1"
_TO_PRUNE = """
SELECT project_id, tombstones FROM app.deleted_projects WHERE pruned_tombstones < tombstones ORDER BY project_id LIMIT $1
"""
_ALL = "SELECT project_id, tombstones FROM app.deleted_projects WHERE project_id > $1 ORDER BY project_id LIMIT $2"
_PRUNED = "UPDATE app.deleted_projects SET pruned_tombstones = greatest(pruned_tombstones, $2) WHERE project_id = $1"


class DeletedProject(Struct, frozen=True):
    """A project to prune.

    Attributes:
        project_id: Of the project.
        tombstones: How many were applied so far.
    """

    project_id: str
    tombstones: int


async def record(connection: Connection, deleted: Mapping[str, ProjectTombstone]) -> None:
    """Count a tombstone of each project; from now on its events are ignored.

    Args:
        connection: In a transaction.
        deleted: By project; of several events the first row stays.
    """
    await connection.executemany(_RECORD, [(project_id, event.by, event.at_us) for project_id, event in sorted(deleted.items())])


async def is_announced(connection: Connection, project_id: str) -> bool:
    """Whether the tombstones of a project were published."""
    return bool(await connection.fetchval(_IS_ANNOUNCED, project_id))


async def mark_announced(connection: Connection, project_id: str, event: ProjectTombstone) -> None:
    """Remember that the tombstones of a project were published."""
    await connection.execute(_ANNOUNCED, project_id, event.by, event.at_us)


async def to_prune(connection: Connection, limit: int) -> list[DeletedProject]:
    """Projects of which a tombstone was applied since they were last pruned."""
    return [DeletedProject(*row) for row in await connection.fetch(_TO_PRUNE, limit)]


async def after(connection: Connection, project_id: str, limit: int) -> list[DeletedProject]:
    """Deleted projects in order, after one."""
    return [DeletedProject(*row) for row in await connection.fetch(_ALL, project_id, limit)]


async def delete_rows(connection: Connection, table: str, project_id: str, limit: int) -> int:
    """Delete at most ``limit`` rows of a project from one of ``PROJECT_TABLES``; how many were deleted."""
    statement = f"DELETE FROM {table} WHERE project_id = $1 AND ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE project_id = $1 LIMIT $2))"
    return affected(await connection.execute(statement, project_id, limit))


async def delete_settings(connection: Connection, project_id: str) -> None:
    """Delete what was set for a project."""
    await connection.execute("DELETE FROM app.project_settings WHERE project_id = $1", project_id)
    await connection.execute("DELETE FROM public.retention WHERE project_id = $1", project_id)


async def mark_pruned(connection: Connection, project: DeletedProject) -> None:
    """Remember that nothing is left of what was there before the last of these tombstones."""
    await connection.execute(_PRUNED, project.project_id, project.tombstones)
