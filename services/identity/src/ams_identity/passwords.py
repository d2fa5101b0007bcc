"""Password hashing with argon2id, at most two hashes at a time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from ams_identity.password_rules import normalized
from ams_kit.errors import TooManyError, UnavailableError

# OWASP's second recommendation (19 MiB, 2 passes, 1 lane): about 25 ms and 19 MiB each, so two at once are small in a platform of 850 MB
MEMORY_KIB = 19_456
PASSES = 2
LANES = 1
# a stored hash may ask for at most this much: its parameters decide what verifying costs
STORED_MEMORY_KIB_MAX = 65_536
STORED_PASSES_MAX = 10
STORED_LANES_MAX = 4
STORED_HASH_CHARS_MAX = 512
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
        """Hash a new password in its normalized form.

        Args:
            password: As received.
            gate: Awaited once a slot is free; an exception that it raises ends the call before any work.

        Raises:
            UnavailableError: The queue is full.
        """
        return await self._run(lambda: self._hasher.hash(normalized(password)), gate, ())

    async def examine(self, rules: Callable[[], T]) -> T:
        """Apply the rules for new passwords, which take up to 0.1 s, in the threads of the hashes.

        Raises:
            UnavailableError: The queue is full.
        """
        return await self._run(rules, None, ())

    async def matches(self, password_hash: str | None, password: str, gate: Gate | None = None, *, clients: Sequence[str] = ()) -> bool:
        """Whether a password matches a hash, in its normalized form or, for a hash from before normalization, as typed.

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

    async def renewed(self, password_hash: str, password: str) -> str | None:
        """A new hash of a password that matches, when the stored one has other parameters or may not be of the normalized form.

        Raises:
            UnavailableError: The queue is full.
        """
        if normalized(password) == password and not self._hasher.check_needs_rehash(password_hash):
            return None
        return await self._run(lambda: self._renew(password_hash, password), None, ())

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        stored = password_hash if password_hash is not None and self._is_affordable(password_hash) else None
        # both spellings, always, so that the time does not show which one matched
        matched = [self._verify_one(stored or self._dummy, spelling) for spelling in dict.fromkeys((normalized(password), password))]
        return stored is not None and any(matched)

    def _verify_one(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError, UnicodeEncodeError):
            if password_hash != self._dummy:
                logger.error("stored password hash cannot be read")  # noqa: TRY400  the text of the error may hold the hash
            return False

    def _is_affordable(self, password_hash: str) -> bool:
        """Whether a stored hash can be read and asks for no more memory, passes and lanes than a hash of ours may."""
        try:
            parameters = extract_parameters(password_hash) if len(password_hash) <= STORED_HASH_CHARS_MAX else None
        except InvalidHashError:
            parameters = None
        affordable = (
            parameters is not None
            and parameters.memory_cost <= STORED_MEMORY_KIB_MAX
            and parameters.time_cost <= STORED_PASSES_MAX
            and parameters.parallelism <= STORED_LANES_MAX
        )
        if not affordable:
            logger.error("stored password hash cannot be read")
        return affordable

    def _renew(self, password_hash: str, password: str) -> str | None:
        if not self._hasher.check_needs_rehash(password_hash) and self._verify_one(password_hash, normalized(password)):
            return None
        return self._hasher.hash(normalized(password))

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
