"""Spans of the services themselves: what clients and loops call, whether or not ``AMS_OTEL_ENDPOINT`` is set.

This module imports nothing of OpenTelemetry. Without the setting every call returns at once; with it ``ams_kit.service`` activates
``ams_kit.telemetry.otel``, once per process.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

Headers = list[tuple[str, bytes]]


class Tracing(Protocol):
    """What makes spans."""

    def watch_http(self, client: Any, /) -> None:
        """Make a span of each request of an ``httpx.AsyncClient``, and send the trace context with it."""
        ...

    def watch_postgres(self, connection: Any, /) -> None:
        """Make a span of each statement of an asyncpg connection."""
        ...

    def publishing(self, count: int, /) -> AbstractContextManager[Headers]:
        """Make a span around the publication of records. Yields the headers to add to each record."""
        ...

    def consuming(self, topic: str, group: str, headers: Sequence[Sequence[tuple[str, bytes]]], /) -> AbstractContextManager[object]:
        """Make a span around the processing of records, in the trace of those who published them."""
        ...


_active: Tracing | None = None


def activate(tracing: Tracing | None) -> None:
    """Make spans from now on, or (``None``) no more."""
    global _active  # noqa: PLW0603  the clients of a process are built in many places, and are watched or not together
    _active = tracing


def watch_http(client: Any) -> None:
    """Watch a client that calls services of the platform. Clients that call foreign servers are not watched: their headers stay ours."""
    if _active is not None:
        _active.watch_http(client)


def watch_postgres(connection: Any) -> None:
    """Watch a connection of asyncpg."""
    if _active is not None:
        _active.watch_postgres(connection)


def publishing(count: int) -> AbstractContextManager[Headers]:
    """Return a context manager around the publication of ``count`` records, which yields the headers to add to each."""
    return nullcontext([]) if _active is None else _active.publishing(count)


def consuming(topic: str, group: str, records: Sequence[Any]) -> AbstractContextManager[object]:
    """Return a context manager around the processing of records, which have ``headers``."""
    return nullcontext() if _active is None else _active.consuming(topic, group, [record.headers for record in records])
