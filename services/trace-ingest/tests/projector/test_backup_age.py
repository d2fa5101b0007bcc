"""The age of the newest backup against what the log keeps."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from ams_trace_ingest.projector.backup_age import BackupAge

NOW = datetime(2031, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000


def keeps(days: int | None) -> Callable[[], Awaitable[int | None]]:
    async def log_retention_ms() -> int | None:
        return None if days is None else days * DAY_MS

    return log_retention_ms


@pytest.mark.parametrize(
    ("age", "log_days", "young"),
    [
        (None, 30, False),
        (timedelta(days=14, hours=23), 30, True),
        (timedelta(days=15, hours=1), 30, False),
        (timedelta(days=300), None, True),
    ],
)
async def test_a_backup_is_too_old_at_half_of_what_the_log_keeps(
    pool: asyncpg.Pool, store, age: timedelta | None, log_days: int | None, young: bool
) -> None:
    if age is not None:
        for older in (age, age + timedelta(days=1)):
            await store.connection.execute("INSERT INTO public.backups VALUES ($1)", NOW - older)

    assert await BackupAge(pool, log_retention_ms=keeps(log_days), now=lambda: NOW).check() is young
    assert REGISTRY.get_sample_value("ams_backup_began_seconds") == (0 if age is None else (NOW - age).timestamp())
    assert REGISTRY.get_sample_value("ams_log_retention_seconds") == (float("inf") if log_days is None else log_days * 86_400)


async def test_it_is_reported_once_and_so_is_the_next_backup(pool: asyncpg.Pool, store) -> None:
    age = BackupAge(pool, log_retention_ms=keeps(30), now=lambda: NOW)

    with capture_logs() as logs:
        await age.check()
        await age.check()
        await store.connection.execute("INSERT INTO public.backups VALUES ($1), ($2)", NOW, NOW - timedelta(days=500))
        await age.check()
        await age.check()

    assert [(one["log_level"], one["event"]) for one in logs] == [
        ("warning", "no backup is recorded; without one, accounts, keys and settings cannot be restored"),
        ("info", "the newest backup is young enough again"),
    ]
    assert await store.connection.fetch("SELECT began_at FROM public.backups") == [(NOW,)]
