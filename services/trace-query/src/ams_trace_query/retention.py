"""Retention of a project, and what it has deleted so far."""

from datetime import date, datetime
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from msgspec import Struct
from sqlalchemy import select

from ams_contracts.claims import Access
from ams_contracts.platform_tables import project_settings, retention, retention_runs
from ams_trace_query.context import context_of
from ams_trace_query.openapi import PROBLEMS

PLATFORM = ""
"""The row of ``retention`` that applies to projects without their own row."""


class RetentionRun(Struct, frozen=True, kw_only=True):
    """A retention run over all projects. ``finished_at_us`` is null while it is running."""

    day: str
    started_at_us: int
    finished_at_us: int | None


class Retention(Struct, frozen=True, kw_only=True):
    """The retention of a project.

    Attributes:
        days: Number of complete UTC days before today whose tasks are kept; null before the first run on the platform.
        platform_days: The platform's number of days, which is the maximum for every project.
        project_days: The project's own setting; null when its owner has not set one.
        kept_from: The first UTC day (``2026-05-01``) whose tasks are kept; older tasks are deleted, and their late events are ignored.
        tasks_deleted: Number of this project's tasks that retention has deleted.
        deleted_at_us: Time of the last deletion; null when nothing was deleted yet.
        last_run: The latest run; null before the first one.
    """

    days: int | None
    platform_days: int | None
    project_days: int | None
    kept_from: str | None
    tasks_deleted: int
    deleted_at_us: int | None
    last_run: RetentionRun | None


@get("/retention", operation_id="getRetention", responses=PROBLEMS)
async def get_retention(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Retention:
    """Read how long a project keeps its tasks, and what retention has deleted."""
    async with context_of(request).database.read(access.project_id) as reader:
        rows = {
            row["project_id"]: row
            for row in await reader.rows(
                select(retention.c.project_id, retention.c.days, retention.c.kept_from, retention.c.tasks_pruned, retention.c.pruned_at)
                .where((retention.c.project_id == PLATFORM) | (retention.c.project_id == access.project_id))
                .limit(2)
            )
        }
        setting = await reader.row(
            select(project_settings.c.retention_days).where(project_settings.c.project_id == access.project_id).limit(1)
        )
        run = await reader.row(
            select(retention_runs.c.day, retention_runs.c.started_at, retention_runs.c.finished_at)
            .order_by(retention_runs.c.day.desc())
            .limit(1)
        )
    platform, own = rows.get(PLATFORM), rows.get(access.project_id)
    kept = [row["kept_from"] for row in (platform, own) if row is not None]
    days = [row["days"] for row in (platform, own) if row is not None]
    return Retention(
        days=min(days, default=None),
        platform_days=None if platform is None else platform["days"],
        project_days=None if setting is None else setting["retention_days"],
        kept_from=max(kept).isoformat() if kept else None,
        tasks_deleted=0 if own is None else own["tasks_pruned"],
        deleted_at_us=None if own is None else _us(own["pruned_at"]),
        last_run=None if run is None else _run(run),
    )


def _run(row: Any) -> RetentionRun:
    day: date = row["day"]
    return RetentionRun(day=day.isoformat(), started_at_us=_us(row["started_at"]) or 0, finished_at_us=_us(row["finished_at"]))


def _us(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp() * 1_000_000)
