"""What the writers of all formats have in common."""

from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct

from ams_trace_query.export.rows import StoredTask


class Selection(Struct, frozen=True, kw_only=True):
    """What is exported.

    Attributes:
        at_us: When the export began, microseconds UTC.
        tasks: How many tasks.
        steps: How many steps they counted then; a running task may have more by now.
        payloads: Whether inputs, outputs, original spans and media are written.
    """

    at_us: int
    tasks: int
    steps: int
    payloads: bool


class Portion(Struct, frozen=True):
    """Complete lines, and how many steps they hold."""

    data: bytes
    steps: int


class Writer(Protocol):
    """Writes the lines of a file: ``begin``, then each task, then ``end``."""

    def begin(self) -> bytes:
        """The lines before the first task."""
        ...

    def task(self, task: StoredTask) -> AsyncIterator[Portion]:
        """The lines of one task. The steps are read while the lines are consumed."""
        ...

    def end(self) -> bytes:
        """The lines after the last task."""
        ...
