"""The counters of telemetry in Redis: intake adds to them, identity reads them. One hash for each UTC day and one for each minute.

Fields of a day: ``<project>:events`` and ``<project>:bytes``; of a minute: ``<project>``, events. Bytes are those of the records on the log before compression.
"""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct
from redis.asyncio import Redis

from ams_contracts.claims import Quota
from ams_kit.errors import TooManyError

MINUTE_SECONDS = 60
DAY_SECONDS = 86_400
MINUTE_KEPT_SECONDS = 180  # after the last count
LATE_MINUTES_MAX = 60  # records of Kafka that are older than this are counted in the current minute
DAY_KEPT_SECONDS = 3 * DAY_SECONDS
FLUSH_SECONDS = 1.0
SCAN_COUNT = 1_000
EVENTS, BYTES = "events", "bytes"


def day_key(day: date) -> str:
    """The hash of a UTC day."""
    return f"ams:usage:day:{day.isoformat()}"


def minute_key(minute: int) -> str:
    """The hash of a minute, counted since the epoch."""
    return f"ams:usage:minute:{minute}"


class Usage(Struct, frozen=True, kw_only=True):
    """What a project has sent in the current minute and on the current UTC day."""

    events_this_minute: int
    events_today: int
    bytes_today: int


def current_minute(now_s: float) -> int:
    """The minute of a time, counted since the epoch."""
    return int(now_s) // MINUTE_SECONDS


def current_day(now_s: float) -> date:
    """The UTC day of a time."""
    return datetime.fromtimestamp(now_s, UTC).date()


async def read_usage(redis: Redis, project_id: str, now_s: float) -> Usage:
    """Read the counters of a project.

    Raises:
        RedisError: Redis is unavailable.
    """
    pipeline = redis.pipeline(transaction=False)
    pipeline.hget(minute_key(current_minute(now_s)), project_id)
    pipeline.hmget(day_key(current_day(now_s)), [f"{project_id}:{EVENTS}", f"{project_id}:{BYTES}"])
    minute, (events, size) = await pipeline.execute()
    return Usage(events_this_minute=int(minute or 0), events_today=int(events or 0), bytes_today=int(size or 0))


async def read_day(redis: Redis, day: date) -> list[tuple[str, int, int]]:
    """Read the counters of a day for all projects: (project, events, bytes).

    Raises:
        RedisError: Redis is unavailable.
    """
    found: dict[str, dict[str, int]] = {}
    async for field, value in redis.hscan_iter(day_key(day), count=SCAN_COUNT):
        project_id, _, name = field.decode().rpartition(":")
        found.setdefault(project_id, {})[name] = int(value)
    return [(project_id, counts.get(EVENTS, 0), counts.get(BYTES, 0)) for project_id, counts in found.items()]


class UsageMeter:
    """Counts what intake accepts, and refuses what is over quota.

    Counts are collected in memory and added to Redis once a second, which answers with the totals of all processes; so a quota may be exceeded by what arrives within a second. While
    Redis is unavailable, this process compares with what it knows.

    Args:
        redis: Holds the counters.
        now_s: The clock, seconds since the epoch.
    """

    def __init__(self, redis: Redis, *, now_s: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._now_s = now_s
        self._minutes: Counter[tuple[int, str]] = Counter()
        self._days: Counter[tuple[date, str]] = Counter()
        self._pending_minutes: Counter[tuple[int, str]] = Counter()
        self._pending_days: Counter[tuple[date, str]] = Counter()

    def admit(self, project_id: str, quota: Quota | None, *, at_s: float | None = None) -> None:
        """Check that a project may send something. A request that begins below the quota is accepted in full.

        Args:
            project_id: The project.
            quota: Of the project; ``None``: without limits.
            at_s: When it was sent, for what waited elsewhere; ``None``: now.

        Raises:
            TooManyError: ``quota_events`` or ``quota_bytes``, with the time at which the period ends.
        """
        if quota is None:
            return
        now_s = self._time_of(at_s)
        day, minute = (current_day(now_s), f"{project_id}:{BYTES}"), (current_minute(now_s), project_id)
        if quota.bytes_per_day is not None and self._days[day] + self._pending_days[day] >= quota.bytes_per_day:
            raise TooManyError(
                f"The project has used its quota of {quota.bytes_per_day:,} bytes a day, which begins again at 00:00 UTC. An owner sees the usage under Settings, the administrator sets the quota.",
                code="quota_bytes",
                retry_after_seconds=DAY_SECONDS - int(now_s) % DAY_SECONDS,
            )
        if quota.events_per_minute is not None and self._minutes[minute] + self._pending_minutes[minute] >= quota.events_per_minute:
            raise TooManyError(
                f"The project has used its quota of {quota.events_per_minute:,} events a minute. Send the rest in the next minute. An owner sees the usage under Settings, the administrator sets the quota.",
                code="quota_events",
                retry_after_seconds=MINUTE_SECONDS - int(now_s) % MINUTE_SECONDS,
            )

    def _time_of(self, at_s: float | None) -> float:
        """The time for which something counts: that at which it was sent, if that is neither in the future nor too long ago."""
        now_s = self._now_s()
        return now_s if at_s is None or not now_s - LATE_MINUTES_MAX * MINUTE_SECONDS < at_s <= now_s else at_s

    def add(self, project_id: str, *, events: int, size_bytes: int, at_s: float | None = None) -> None:
        """Count what was accepted; ``at_s`` as in ``admit``."""
        now_s = self._time_of(at_s)
        day = current_day(now_s)
        self._pending_minutes[(current_minute(now_s), project_id)] += events
        self._pending_days[(day, f"{project_id}:{EVENTS}")] += events
        self._pending_days[(day, f"{project_id}:{BYTES}")] += size_bytes

    async def flush(self) -> None:
        """Add the counts to Redis, and read the totals of the projects that were counted.

        Raises:
            RedisError: Redis is unavailable; the counts are kept. When the answer was lost, they count twice.
        """
        self._forget_old()
        minutes, days = self._pending_minutes, self._pending_days
        if not minutes and not days:
            return
        pipeline = self._redis.pipeline(transaction=True)
        for (minute, project_id), events in minutes.items():
            pipeline.hincrby(minute_key(minute), project_id, events)
        for (day, field), count in days.items():
            pipeline.hincrby(day_key(day), field, count)
        for minute in {minute for minute, _ in minutes}:
            pipeline.expire(minute_key(minute), MINUTE_KEPT_SECONDS)
        for day in {day for day, _ in days}:
            pipeline.expire(day_key(day), DAY_KEPT_SECONDS)
        self._pending_minutes, self._pending_days = Counter(), Counter()
        try:
            totals = await pipeline.execute()
        except BaseException:
            self._pending_minutes.update(minutes)
            self._pending_days.update(days)
            raise
        for one, total in zip(minutes, totals, strict=False):
            self._minutes[one] = total
        for one, total in zip(days, totals[len(minutes) :], strict=False):
            self._days[one] = total

    def _forget_old(self) -> None:
        """Drop totals of earlier periods, and counts of minutes that nobody asks for any more."""
        now_s = self._now_s()
        minute, day = current_minute(now_s), current_day(now_s)
        oldest_minute, oldest = minute - LATE_MINUTES_MAX, day - timedelta(days=2)
        self._minutes = Counter({one: total for one, total in self._minutes.items() if one[0] >= oldest_minute})
        self._days = Counter({one: total for one, total in self._days.items() if one[0] >= oldest})
        self._pending_minutes = Counter({one: count for one, count in self._pending_minutes.items() if one[0] >= oldest_minute})
        self._pending_days = Counter({one: count for one, count in self._pending_days.items() if one[0] >= oldest})
