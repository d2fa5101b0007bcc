"""The port to whatever takes the events, and what its answers mean to the sender."""

from dataclasses import dataclass
from typing import Protocol

from ams_contracts.native import NativeAnswer

THREAD_NAME = "ams-sender"


@dataclass(frozen=True, slots=True)
class Delivered:
    """Every event of the request is in the log, except the rejected ones."""

    answer: NativeAnswer


@dataclass(frozen=True, slots=True)
class Later:
    """It is unknown whether the events were stored; the same events may be sent again. ``after_seconds`` is the server's Retry-After."""

    reason: str
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The server accepts nothing until a setting changes: wrong key, wrong address."""

    reason: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A server or proxy does not accept requests of this size."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """The server cannot read this request; a retry does not help."""

    reason: str


Outcome = Delivered | Later | Refused | TooLarge | Malformed


class Transport(Protocol):
    """Takes requests in order, one at a time, from the sender's thread.

    It never raises, and returns within the request's timeout. It may get the same events again, with the same ids, after ``Later``.
    A forked child makes its own. ``https``, ``file``, ``console`` and ``memory`` implement it; ``sending/transports.py`` lists them, and
    ``tests/test_transports.py`` is the behaviour that each of them must have.
    """

    def post(self, body: bytes) -> Outcome:
        """Take one request.

        Args:
            body: A ``NativeRequest`` in JSON, without line breaks: at most 100 batches, each of one task, 1,000 events and 4 MiB.
        """
        ...

    def close(self) -> None:
        """Release what it holds. Nothing is posted afterwards; a second call does nothing."""
        ...
