"""Failed attempts to prove a password: counted before the attempt, in one atomic script, and taken back when it succeeds.

A failure counts for 15 minutes. From the fourth one on, each attempt must wait twice as long as the one before, and the tenth closes the counter until the
oldest failure is 15 minutes old. Nobody is locked out by others: a browser that has signed in to the account carries a device cookie and has a counter of its own.
"""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any, cast

from msgspec import Struct
from redis.asyncio import Redis

from ams_kit.errors import TooManyError, UnavailableError
from ams_kit.retriable import UNAVAILABLE

FAILURES_MAX = 10
FAILURES_SECONDS = 900
FAILURES_WITHOUT_DELAY = 3
NONCE_CHARS = 16

# KEYS: sorted sets of failures by time. ARGV: now (us), the nonce, then per key: window (us), maximum, failures without a delay. Adds the attempt to all
# of them when none refuses it. Returns 0, or the seconds to wait.
_RESERVE_SCRIPT = """
local now = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  local window, most, free = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  local count = redis.call('ZCARD', key)
  local wait = 0
  if count >= most then
    wait = tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]) + window - now
  elseif count >= free then
    wait = tonumber(redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]) + 2 ^ (count - free) * 1000000 - now
  end
  if wait > 0 then return math.ceil(wait / 1000000) end
end
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, ARGV[2])
  redis.call('PEXPIRE', key, math.ceil(tonumber(ARGV[3 * i]) / 1000))
end
return 0
"""
_RELEASE_SCRIPT = "for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end"


class FailureLimit(Struct, frozen=True):
    """A counter of failures.

    Attributes:
        name: Of the counter.
        failures_max: As many failures within ``seconds`` close it.
        seconds: How long a failure counts.
        free: As many failures cost no delay.
    """

    name: str
    failures_max: int = FAILURES_MAX
    seconds: int = FAILURES_SECONDS
    free: int = FAILURES_WITHOUT_DELAY


class Attempt(Struct, frozen=True):
    """An attempt that counts as failed until it is released."""

    names: tuple[str, ...]
    nonce: str


def name_of_unknown(name: str) -> str:
    """The counter of a name that no account has, so that it behaves like one that exists. Holds a hash, because people type passwords into the wrong field."""
    return f"name:{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


class Failures:
    """Counts failures in Redis, for all processes of identity."""

    def __init__(self, redis: Redis) -> None:
        self._reserve = redis.register_script(_RESERVE_SCRIPT)
        self._release = redis.register_script(_RELEASE_SCRIPT)

    async def reserve(self, limits: Sequence[FailureLimit], now_s: float) -> Attempt:
        """Count one attempt as failed, before its password is verified: attempts at the same time cannot pass a limit together.

        Raises:
            TooManyError: A limit refuses it; nothing was counted.
            UnavailableError: Redis is unavailable.
        """
        attempt = Attempt(tuple(f"ams:failures:{limit.name}" for limit in limits), secrets.token_hex(NONCE_CHARS // 2))
        numbers = [number for limit in limits for number in (limit.seconds * 1_000_000, limit.failures_max, limit.free)]
        wait = await self._run(self._reserve, attempt, [int(now_s * 1_000_000), attempt.nonce, *numbers])
        if wait:
            raise TooManyError("Too many failed attempts. Wait and try again.", retry_after_seconds=wait)
        return attempt

    async def release(self, attempt: Attempt) -> None:
        """Take an attempt back: it succeeded, or it was not made.

        Raises:
            UnavailableError: Redis is unavailable; the attempt counts until it expires.
        """
        await self._run(self._release, attempt, [attempt.nonce])

    async def _run(self, script: Any, attempt: Attempt, arguments: list[Any]) -> int:
        try:
            return cast("int", await script(keys=attempt.names, args=arguments) or 0)
        except UNAVAILABLE as error:
            raise UnavailableError("Attempts cannot be counted right now. Try again in a few seconds.") from error
