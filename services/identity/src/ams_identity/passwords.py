"""Password hashing with argon2id, at most two hashes at a time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from ams_kit.errors import TooManyError, UnavailableError

# OWASP's second recommendation (19 MiB, 2 passes, 1 lane): about 25 ms and 19 MiB each, so two at once are small in a platform of 850 MB
MEMORY_KIB = 19_456
PASSES = 2
LANES = 1
CONCURRENCY = 2
WAITING_MAX = 200  # calls in the queue: about 3 s of work
WAITING_PER_CLIENT_MAX = 8  # of one account or one address: 0.1 s of work, so one client cannot delay the others for long

T = TypeVar("T")
Gate = Callable[[], Awaitable[None]]

logger = structlog.get_logger(__name__)


class Passwords:
    """Hashes and verifies passwords in its own threads.

    A cancelled caller does not free its slot: the hash runs to its end, so cancelled requests still count towards the limit.
    """

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="argon2")
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._waiting = 0
        self._waiting_by_client: Counter[str] = Counter()  # counts waiting calls only, so WAITING_MAX bounds it
        self._dummy = self._hasher.hash("nobody has this password")

    async def hash(self, password: str, gate: Gate | None = None) -> str:
        """Hash a new password.

        Args:
            password: As received.
            gate: Awaited once a slot is free; an exception that it raises ends the call before any work.

        Raises:
            UnavailableError: The queue is full.
        """
        return await self._run(lambda: self._hasher.hash(password), gate, ())

    async def matches(self, password_hash: str | None, password: str, gate: Gate | None = None, *, clients: Sequence[str] = ()) -> bool:
        """Whether a password matches a hash.

        Without a hash (no such user) the same work is done, so that the response time does not reveal which usernames exist.

        Args:
            password_hash: ``None`` for a user that does not exist.
            password: As received.
            gate: See ``hash``.
            clients: The account and the client address of the request, so that neither can fill the queue.

        Raises:
            TooManyError: One of ``clients`` has ``WAITING_PER_CLIENT_MAX`` calls waiting.
            UnavailableError: The queue is full.
        """
        return await self._run(lambda: self._verify(password_hash, password), gate, clients)

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether a hash has other parameters than the current ones."""
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

    async def _run(self, work: Callable[[], T], gate: Gate | None, clients: Sequence[str]) -> T:
        if any(self._waiting_by_client[client] >= WAITING_PER_CLIENT_MAX for client in clients):
            raise TooManyError("Too many sign-ins at once. Wait a second and try again.", retry_after_seconds=1)
        if self._waiting >= WAITING_MAX:
            raise UnavailableError("Too many sign-ins at once. Wait a few seconds and try again.", retry_after_seconds=3)
        self._wait(clients, 1)
        try:
            await self._slots.acquire()
        finally:
            self._wait(clients, -1)
        try:
            if gate is not None:
                await gate()
            future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        except BaseException:
            self._slots.release()
            raise
        future.add_done_callback(lambda _: self._slots.release())
        return await asyncio.shield(future)

    def _wait(self, clients: Sequence[str], more: int) -> None:
        self._waiting += more
        for client in clients:
            self._waiting_by_client[client] += more
            if not self._waiting_by_client[client]:
                del self._waiting_by_client[client]
