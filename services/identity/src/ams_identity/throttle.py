"""Rate limits: counters in Redis, shared by all processes, each check one command."""

from collections.abc import Sequence
from typing import Any, cast

from redis.asyncio import Redis

from ams_kit.errors import TooManyError, UnavailableError
from ams_kit.retriable import UNAVAILABLE

WINDOW_SECONDS = 60

# KEYS: counters; ARGV: limits, the same number of them, then the window in seconds. Counts when no limit is reached. Returns 0, or the seconds to wait.
_COUNT_SCRIPT = """
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i]) then return math.max(redis.call('TTL', key), 1) end
end
for _, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 then redis.call('EXPIRE', key, ARGV[#ARGV]) end
end
return 0
"""
# the same without counting
_CHECK_SCRIPT = """
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i]) then return math.max(redis.call('TTL', key), 1) end
end
return 0
"""


class Throttle:
    """Limits per minute. A limit is a pair of a counter's name and its maximum."""

    def __init__(self, redis: Redis) -> None:
        self._count = redis.register_script(_COUNT_SCRIPT)
        self._check = redis.register_script(_CHECK_SCRIPT)

    async def count(self, limits: Sequence[tuple[str, int]]) -> None:
        """Count one attempt.

        Raises:
            TooManyError: A limit is reached; nothing was counted.
            UnavailableError: Redis is unavailable.
        """
        await self._run(self._count, limits)

    async def check(self, limits: Sequence[tuple[str, int]]) -> None:
        """Check whether an attempt would be allowed, without counting it.

        Raises:
            TooManyError: A limit is reached.
            UnavailableError: Redis is unavailable.
        """
        await self._run(self._check, limits)

    async def _run(self, script: Any, limits: Sequence[tuple[str, int]]) -> None:
        keys = [f"ams:throttle:{name}" for name, _ in limits]
        try:
            wait = cast("int", await script(keys=keys, args=[*(limit for _, limit in limits), WINDOW_SECONDS]))
        except UNAVAILABLE as error:
            raise UnavailableError("Attempts cannot be counted right now. Try again in a few seconds.") from error
        if wait:
            raise TooManyError("Too many attempts. Wait and try again.", retry_after_seconds=wait)
