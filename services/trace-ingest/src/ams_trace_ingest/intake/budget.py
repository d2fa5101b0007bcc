"""How many bytes of requests this process holds at once, decided before a body is read, and how much of it one key and one project may hold."""

from collections import Counter
from fractions import Fraction
from typing import Self

from ams_kit.errors import UnavailableError

RETRY_AFTER_SECONDS = 1
OVER_BUDGET = "over_budget"
KEY_ARRIVING_SHARE = Fraction(1, 3)  # of bodies that are still arriving: they wait for the client, so others must be served beside them
PROJECT_SHARE = Fraction(5, 6)  # of everything: with the default budget, the largest request; the rest stays for other projects


class ByteBudget:
    """A limit on the memory of requests in flight.

    A body counts with its compressed size while it arrives, with its inflated size while it is decoded, and its encoded records count until they
    are published.
    """

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.bytes_held = 0
        self.by_project: Counter[str] = Counter()  # of projects that hold something, so at most as many as requests
        self.arriving_by_key: Counter[str] = Counter()

    def lease(self, project_id: str, key_id: str) -> "Lease":
        """A request's reservation, empty at first. Use it as a context manager: leaving releases it.

        Args:
            project_id: The project that the request writes to.
            key_id: The API key that it came with.
        """
        return Lease(self, project_id, key_id)


class Lease:
    """The bytes that one request holds of a budget."""

    def __init__(self, budget: ByteBudget, project_id: str, key_id: str) -> None:
        self._budget = budget
        self._project_id = project_id
        self._key_id = key_id
        self._held = 0
        self._arriving = 0

    @property
    def project_id(self) -> str:
        """The project that the request writes to."""
        return self._project_id

    def resize(self, wanted_bytes: int, *, arriving: bool = False) -> None:
        """Hold exactly ``wanted_bytes``.

        Args:
            wanted_bytes: From now on.
            arriving: The client is still sending; then the key's share applies too.

        Raises:
            UnavailableError: The process, the project or the key holds too much already; the client should send it again soon.
        """
        budget = self._budget
        more = wanted_bytes - self._held
        if more > 0 and budget.bytes_held + more > budget.bytes_max:
            raise _over("More telemetry is in flight than this process may hold.")
        if more > 0 and budget.by_project[self._project_id] + more > budget.bytes_max * PROJECT_SHARE:
            raise _over("More telemetry of this project is in flight than one project may hold.")
        still_arriving = wanted_bytes if arriving else 0
        more_arriving = still_arriving - self._arriving
        if more_arriving > 0 and budget.arriving_by_key[self._key_id] + more_arriving > budget.bytes_max * KEY_ARRIVING_SHARE:
            raise _over("More request bodies of this API key are arriving than one key may send at a time.")
        self._hold(wanted_bytes, still_arriving)

    def _hold(self, held: int, arriving: int) -> None:
        budget = self._budget
        budget.bytes_held += held - self._held
        _add(budget.by_project, self._project_id, held - self._held)
        _add(budget.arriving_by_key, self._key_id, arriving - self._arriving)
        self._held, self._arriving = held, arriving

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hold(0, 0)


def _add(counter: Counter[str], name: str, amount: int) -> None:
    counter[name] += amount
    if not counter[name]:
        del counter[name]


def _over(reason: str) -> UnavailableError:
    return UnavailableError(f"{reason} Send it again.", code=OVER_BUDGET, retry_after_seconds=RETRY_AFTER_SECONDS)
