"""Hashes of passwords: argon2id, never more than two at once."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from ams_kit.errors import UnavailableError

# OWASP's second choice (19 MiB, 2 passes, 1 lane): some 25 ms and 19 MiB each, so two at once stay small beside the platform's 850 MB
MEMORY_KIB = 19_456
PASSES = 2
LANES = 1
CONCURRENCY = 2
WAITING_MAX = 200  # some 3 s of work; who comes later is asked to come again

T = TypeVar("T")
Gate = Callable[[], Awaitable[None]]

logger = structlog.get_logger(__name__)


class Passwords:
    """Hashes and checks in threads of its own. A caller that goes away does not free its place: the hash still runs to its end."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="argon2")
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._waiting = 0
        self._dummy = self._hasher.hash("nobody has this password")

    async def hash(self, password: str, gate: Gate | None = None) -> str:
        """The hash of a new password.

        Args:
            password: As it was sent.
            gate: Awaited when it is this caller's turn; what it raises ends the matter before any work.
        """
        return await self._run(lambda: self._hasher.hash(password), gate)

    async def matches(self, password_hash: str | None, password: str, gate: Gate | None = None) -> bool:
        """Whether a password is the one. Without a hash (no such user) the same work is done for nothing, so that time tells nothing."""
        return await self._run(lambda: self._verify(password_hash, password), gate)

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash or self._dummy, password) and password_hash is not None
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError, UnicodeEncodeError):
            if password_hash is not None:
                logger.error("stored password hash cannot be read")  # noqa: TRY400  the text of the error may hold the hash
            return False

    async def _run(self, work: Callable[[], T], gate: Gate | None) -> T:
        if self._waiting >= WAITING_MAX:
            raise UnavailableError("Too many sign-ins at once.", retry_after_seconds=3)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            if gate is not None:
                await gate()
            future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        except BaseException:
            self._slots.release()
            raise
        future.add_done_callback(lambda _: self._slots.release())
        return await asyncio.shield(future)
