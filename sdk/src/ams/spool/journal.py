"""``spool="always"``: what a step call recorded is in a file before the call returns.

The frames hold the records as the agent's threads made them, because masking and encoding events would cost the agent more than the
write. ``ams.sending.rebuild`` makes the events when another process takes the segment over, masked like all others, and with the same
ids as the events that the process itself may have sent.
"""

import contextlib
import threading
from typing import Any

import msgspec

from ams.spool.frames import frame
from ams.spool.segments import Folder, Segment
from ams.tracing.capture import clean
from ams.tracing.records import AgentRecord, StepRecord, StepUpdate, TaskRecord
from ams.tracing.scores import ScoreRecord

_pack = msgspec.msgpack.Encoder(enc_hook=str).encode
STEP_FIELDS = (
    *("id", "parent_id", "root", "name", "type", "status", "agent", "model", "started_ns", "duration_us", "input", "output", "usage"),
    *("details", "attributes", "cost_usd", "first_output_us", "wait", "error_type", "error_message", "stack"),
)
TASK_FIELDS = ("name", "kind", "agent", "environment", "user_id", "conversation_id", "tags", "started_ns", "joined")
AGENT_FIELDS = ("name", "version", "description", "framework", "owner", "tools", "metadata")
SCORE_FIELDS = ("name", "value", "task_id", "step_id", "comment", "source", "author", "score_id", "at_ns")
UPDATE_FIELDS = ("kind", "text", "level", "at_ns", "number")


class Journal:
    """Appends records to the current segment. The sender replaces the segment; nothing here takes a lock but the first write."""

    def __init__(self, folder: Folder, instance_id: str, producer: bytes, *, sync: bool) -> None:
        self._folder = folder
        self._instance_id = instance_id
        self._producer = producer
        self._sync = sync
        self._opening = threading.RLock()  # reentrant: a signal handler may interrupt the first write
        self.current: Segment | None = None
        self.closed = False
        self.failed = False
        """The last write failed: the disk is full, or the spool has its maximum size."""

    def write(self, item: object, *, taken: bool) -> bool:
        """Append an item of the queue.

        Args:
            item: A step that ended, an update, an agent or a score.
            taken: Whether the queue took it.

        Returns:
            False when it is not in the file.
        """
        if self.closed:
            return False
        try:
            data = _frames_of(item)
        except Exception:  # noqa: BLE001 - lone surrogates, and what the agent put into attributes
            data = _frames_of(item, clean_text=True)
        segment = self.current or self._open()
        if segment is None or not segment.append(data, sync=self._sync):
            self.failed = True
            return False
        if not taken:
            segment.skipped += 1
            if segment.deleted:  # the sender settled everything else of it
                return self.write(item, taken=False)
        return True

    def rotate(self) -> Segment | None:
        """Begin a new segment; for the sender.

        Returns:
            The previous one.
        """
        previous = self.current
        self.current = self._folder.create(self._instance_id, self._producer, journal=True)
        self.failed = self.current is None
        return previous

    def pause(self) -> Segment | None:
        """Write nothing until ``rotate``: the spool has its maximum size.

        Returns:
            The segment so far.
        """
        previous, self.current = self.current, None
        self.failed = True
        return previous

    def _open(self) -> Segment | None:
        with self._opening:
            if self.current is None and not self.closed and not self.failed:
                self.current = self._folder.create(self._instance_id, self._producer, journal=True)
                self.failed = self.current is None
            return self.current

    def close(self) -> None:
        """Release the segment; its file stays."""
        self.closed = True
        segment, self.current = self.current, None
        if segment is not None:
            segment.release()


def _frames_of(item: object, *, clean_text: bool = False) -> bytes:
    pack = _clean_pack if clean_text else _pack
    if isinstance(item, StepRecord):
        parent = item.parent
        own = frame(pack(_step(item)))
        return own if parent is None or parent.kept else _open_ones(parent, pack) + own
    if isinstance(item, StepUpdate):
        step = item.step
        task = step.task.id.to_bytes(16)
        before = b"" if step.kept else _open_ones(step, pack)
        if item.kind in {"document", "status"}:
            return before + frame(pack(["D", item.at_ns, item.number, *_step(step)[1:]]))
        return before + frame(pack(["U", task, step.id, *(getattr(item, name) for name in UPDATE_FIELDS)]))
    if isinstance(item, AgentRecord):
        return frame(pack(["A", *(getattr(item, name) for name in AGENT_FIELDS)]))
    if isinstance(item, ScoreRecord):
        return frame(pack(["C", *(getattr(item, name) for name in SCORE_FIELDS)]))
    return b""


def _open_ones(step: StepRecord, pack: Any) -> bytes:
    """The steps around one that are not in the journal yet: an inner step without them would have no place."""
    around: list[bytes] = []
    outer: StepRecord | None = step
    while outer is not None and not outer.kept:
        outer.kept = True
        around.append(frame(pack(_step(outer))))
        outer = outer.parent
    return b"".join(reversed(around))


def _step(s: StepRecord) -> list[Any]:
    """Kind, task, fields, and with a root the task's fields. Written out: ``getattr`` by name costs 2 us."""
    return [
        "S", s.task.id.to_bytes(16),
        s.id, s.parent_id, s.root, s.name, s.type, s.status, s.agent, s.model, s.started_ns, s.duration_us, s.input, s.output, s.usage,
        s.details, s.attributes, s.cost_usd, s.first_output_us, s.wait, s.error_type, s.error_message, s.stack,
        _task(s.task) if s.root else s.task.joined,
    ]  # fmt: skip


def _task(task: TaskRecord) -> list[Any]:
    parent = task.parent_task_id.to_bytes(16) if task.parent_task_id is not None else None
    return [*(getattr(task, name) for name in TASK_FIELDS), parent]


def _clean_pack(value: Any) -> bytes:
    return _pack(_cleaned(value, 0))


def _cleaned(value: Any, depth: int) -> Any:  # noqa: PLR0911 - a table of types
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list | tuple) and depth < 8:  # noqa: PLR2004 - of parameters, as deep as anyone looks
        return [_cleaned(item, depth + 1) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict) and depth < 8:  # noqa: PLR2004 - the same
        return {clean(str(name)): _cleaned(item, depth + 1) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if value is None or isinstance(value, bool | float | bytes | msgspec.Struct):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    with contextlib.suppress(Exception):
        return clean(str(value))
    return None
