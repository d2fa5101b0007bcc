"""The revocation list of access tokens: one Redis hash, written by identity and read for every request.

``HMGET ams:revocations server current_us jti:<jti> sid:<sid> user:<user>`` and ``TIME`` are one round trip. A value is ``<until>:<expires>``:
tokens of that subject issued before ``until`` (seconds) are revoked, and the entry can be deleted after ``expires``.

A missing entry proves something only while the list is known to be complete. Identity writes two fields to the same hash for that:

- ``server``: the run id of the server on which it has written the complete list. A server that restarted, was replaced by a replica, or lost its
  data has another one, or none.
- ``current_us``: a lease, the server's clock at a moment when everything revoked until then was in the list. Identity renews it twice a second, and not
  while a revocation could not be written. Both times are of the server's clock, so a frozen server has no valid lease when it resumes.

Without such a proof no token is accepted. ADR 0080.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import structlog
from redis.asyncio import Redis

from ams_contracts.claims import AccessClaims, IdentityChanged
from ams_kit.background import Background
from ams_kit.errors import InvalidTokenError, UnavailableError
from ams_kit.retriable import UNAVAILABLE

REVOCATIONS_KEY = "ams:revocations"
SERVER_FIELD = "server"
CURRENT_FIELD = "current_us"
LEASE_SECONDS = 3
UNTIL_FOREVER_S = 99_999_999_999
REPLICA_REFRESH_SECONDS = 5
RECEIVED_MAX = 10_000
"""Revocations received by a message that are kept; beyond it the oldest are dropped. The list in Redis holds them too."""
ASK_AGAIN_SECONDS = 0.5  # the pause after a failed request, so that a frozen Redis does not cost one timeout per request

_RUN_ID = re.compile(rb"run_id:([0-9a-zA-Z]+)")
logger = structlog.get_logger(__name__)


class RevocationSource(Protocol):
    """Knows which access tokens are revoked."""

    async def check(self, claims: AccessClaims) -> None:
        """Check that a token is not revoked.

        Raises:
            InvalidTokenError: The token is revoked.
            UnavailableError: That cannot be determined now.
        """
        ...


class ServerWatch:
    """Remembers the run id of the Redis server to which the newest connection of a client was made."""

    def __init__(self) -> None:
        self.run_id = b""

    async def on_connect(self, connection: Any) -> None:
        """Set up a connection, and ask the server for its run id. The client calls it before the first command of each connection."""
        await connection.on_connect()
        await connection.send_command("INFO", "server", check_health=False)
        answer = await connection.read_response()
        match = _RUN_ID.search(answer if isinstance(answer, bytes) else str(answer).encode())
        self.run_id = b"" if match is None else match[1]


def fields_of(claims: AccessClaims) -> tuple[str, str, str]:
    """Return the fields of the hash that can revoke a token."""
    return (f"jti:{claims.jti}", f"sid:{claims.sid}", f"user:{claims.sub}")


def revoked_by(value: str | bytes | None, issued_at_s: int) -> bool:
    """Whether a field's value revokes a token that was issued at ``issued_at_s``. A malformed value revokes."""
    if value is None:
        return False
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    until = text.partition(":")[0]
    return not until.isdecimal() or issued_at_s < int(until)


def session_ended() -> InvalidTokenError:
    """Build the error for a revoked token."""
    return InvalidTokenError("This session was ended. Sign in again.", code="session_ended")


def revocation_unknown() -> UnavailableError:
    """Build the error for a token of which nobody can say now whether it is revoked."""
    return UnavailableError("The revocation list is unavailable, so the session cannot be verified. Try again.", code="revocation_unknown")


def is_complete(server: bytes | None, current_us: bytes | None, *, run_id: bytes, now_us: int) -> bool:
    """Whether a missing entry of the list proves that a token is not revoked.

    Args:
        server: The field ``server``.
        current_us: The field ``current_us``.
        run_id: Of the server that answered.
        now_us: That server's clock, at or after the moment of the answer.
    """
    if not run_id or server != run_id or current_us is None or not current_us.isdigit():
        return False
    return 0 <= now_us - int(current_us) <= LEASE_SECONDS * 1_000_000


class RevocationList:
    """Reads the revocation list, and keeps a copy of it for open sockets."""

    def __init__(
        self, redis: Redis, server: ServerWatch, *, monotonic: Callable[[], float] = time.monotonic, now_s: Callable[[], float] = time.time
    ) -> None:
        """``server`` watches the connections of ``redis``, see ``open_redis``."""
        self._redis = redis
        self._server = server
        self._monotonic = monotonic
        self._now_s = now_s
        self._replica: dict[str, str | bytes] = {}
        self._received: dict[str, str | bytes] = {}  # by a message, the newest last
        self._failed_at = -1e9
        self._wanted = asyncio.Event()

    def start(self, background: Background) -> None:
        """Refresh the replica until the background tasks stop."""
        background.spawn("revocation-replica", self._refresh_loop)

    async def check(self, claims: AccessClaims) -> None:
        """Check that a token is not revoked. Implements ``RevocationSource``.

        Raises:
            InvalidTokenError: The token is revoked.
            UnavailableError: Redis is unavailable, has lost its data, or does not have every revocation yet.
        """
        if self.known_revoked(claims):
            raise session_ended()
        names = fields_of(claims)
        known = await self._ask(names)
        if any(revoked_by(known.get(name), claims.iat) or revoked_by(self._received.get(name), claims.iat) for name in names):
            raise session_ended()

    def known_revoked(self, claims: AccessClaims) -> bool:
        """Whether a token is revoked according to a message or the replica, without a request to Redis."""
        names = fields_of(claims)
        return any(revoked_by(self._replica.get(name), claims.iat) or revoked_by(self._received.get(name), claims.iat) for name in names)

    def on_event(self, changed: IdentityChanged) -> None:
        """Add a revocation from a message of identity to the local state."""
        if changed.kind != "session.revoked":
            return
        forever = f"{UNTIL_FOREVER_S}:0"
        if changed.jti:
            self._received[f"jti:{changed.jti}"] = forever
        if changed.session_id:
            self._received[f"sid:{changed.session_id}"] = forever
        if changed.user_id and not changed.jti and not changed.session_id:
            until = int(self._now_s()) + 1 if changed.until_s is None else changed.until_s
            self._received[f"user:{changed.user_id}"] = f"{until}:0"
        while len(self._received) > RECEIVED_MAX:
            self._received.pop(next(iter(self._received)))
        self._wanted.set()

    def refresh_soon(self) -> None:
        """Refresh the replica at once, because messages may have been missed."""
        self._wanted.set()

    async def _ask(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Read entries of the list.

        Raises:
            UnavailableError: Redis is unavailable, or the list may be incomplete.
        """
        if self._monotonic() - self._failed_at < ASK_AGAIN_SECONDS:
            raise revocation_unknown()
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hmget(REVOCATIONS_KEY, [SERVER_FIELD, CURRENT_FIELD, *names])
        pipeline.time()  # after the read, so that the lease is rather too old than too young
        try:
            answers = await pipeline.execute()
        except UNAVAILABLE as error:
            self._failed_at = self._monotonic()
            logger.warning("reading the revocation list failed", error_type=type(error).__name__)
            raise revocation_unknown() from error
        server, current, *values = cast("list[bytes | None]", answers[0])
        if not is_complete(server, current, run_id=self._server.run_id, now_us=microseconds_of(answers[1])):
            raise revocation_unknown()
        return {name: value for name, value in zip(names, values, strict=True) if value is not None}

    async def _refresh_loop(self) -> None:
        while True:
            self._wanted.clear()
            await self.refresh()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), REPLICA_REFRESH_SECONDS)

    async def refresh(self) -> None:
        """Read the complete list into the replica.

        Raises:
            RedisError: Redis is unavailable. The replica stays as it is.
            UnavailableError: The list may be incomplete. The replica stays as it is.
        """
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hgetall(REVOCATIONS_KEY)
        pipeline.time()
        everything, now = cast("tuple[dict[bytes, bytes], Any]", await pipeline.execute())
        server, current = everything.get(SERVER_FIELD.encode()), everything.get(CURRENT_FIELD.encode())
        if not is_complete(server, current, run_id=self._server.run_id, now_us=microseconds_of(now)):
            raise revocation_unknown()
        self._replica = {name.decode("latin-1"): value for name, value in everything.items()}


def microseconds_of(time_of_server: tuple[int, int]) -> int:
    """The answer to ``TIME`` in microseconds since the epoch."""
    seconds, microseconds = time_of_server
    return int(seconds) * 1_000_000 + int(microseconds)
