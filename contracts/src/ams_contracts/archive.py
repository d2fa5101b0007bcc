"""The archive: tasks as a file that can be imported again, in JSON Lines.

The first line is a header, the last one the end: a file without it was cut. Between them come, for each task, a line that names it and lines of
events. The events are those of the log (``ams_contracts.events``), one for each register that a stored row holds, so an import is a
publication like any other, and importing a file twice changes nothing.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from ams_contracts.events import Event
from ams_contracts.ids import TaskId

ARCHIVE_VERSION = 1
LINE_BYTES_TARGET = 262_144
"""A line of events ends when it reaches this size. One event may be larger: at most 2 MiB."""
PRODUCER_SDK = "ams-import"


class ArchiveHeader(Struct, frozen=True, kw_only=True, tag_field="kind", tag="ams.archive"):
    """The first line. ``steps`` is what the tasks counted when the export began; ``payloads``: whether contents are in the file."""

    v: Literal[1] = ARCHIVE_VERSION
    exported_at_us: int
    tasks: int
    steps: int
    payloads: bool


class ArchiveTask(Struct, frozen=True, kw_only=True, tag_field="kind", tag="task"):
    """The lines of events until the next of these belong to this task."""

    task_id: TaskId
    name: str
    steps: int


class ArchiveEvents(Struct, frozen=True, kw_only=True, tag_field="kind", tag="events"):
    """Events of one task."""

    task_id: TaskId
    events: Annotated[list[Event], Meta(max_length=1_000)]


class ArchiveEnd(Struct, frozen=True, kw_only=True, tag_field="kind", tag="end"):
    """The last line: what the file holds."""

    tasks: int
    steps: int
    events: int


ArchiveLine = ArchiveHeader | ArchiveTask | ArchiveEvents | ArchiveEnd


class RawArchiveEvents(Struct, frozen=True, kw_only=True, tag_field="kind", tag="events"):
    """Events that are not decoded yet, so that a bad one does not cost the others."""

    task_id: TaskId
    events: Annotated[list[Raw], Meta(max_length=1_000)]


read_archive_line = msgspec.json.Decoder(ArchiveHeader | ArchiveTask | RawArchiveEvents | ArchiveEnd)
