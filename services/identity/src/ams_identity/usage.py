"""Copies the counters of telemetry from Redis to table ``usage_days``, where they stay for 400 days."""

from datetime import timedelta

import asyncpg
from redis.asyncio import Redis

from ams_identity.store import quotas
from ams_kit.auth import is_uuid
from ams_kit.usage import current_day, read_day

EVERY_SECONDS = 30.0
BATCH = 1_000
KEPT_DAYS = 400


async def record_days(pool: asyncpg.Pool, redis: Redis, now_s: float) -> None:
    """Store the counts of yesterday and today. Every replica does so: the counts of a day only grow."""
    today = current_day(now_s)
    for day in (today - timedelta(days=1), today):
        counts = sorted(item for item in await read_day(redis, day) if is_uuid(item[0]))
        for start in range(0, len(counts), BATCH):
            await quotas.record_usage(pool, day, counts[start : start + BATCH])
