"""The format ``ams``: rows as the events that they were folded from (``ams_contracts.archive``)."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec

from ams_contracts.archive import LINE_BYTES_TARGET, ArchiveEnd, ArchiveHeader, ArchiveTask
from ams_contracts.codec import encode
from ams_contracts.documents import Slot, Status, TaskDocument
from ams_contracts.events import (
    Event,
    LogLine,
    MediaStored,
    OpenStep,
    PayloadStored,
    ScoreRecorded,
    StepProgressed,
    StepRecorded,
    StepStarted,
    TaskEnded,
    TaskStarted,
)
from ams_contracts.fold import PHASE_ENDED
from ams_contracts.step_rows import step_state
from ams_trace_query.database import Database
from ams_trace_query.export.rows import StepContents, StoredTask, read_logs, read_media, read_scores, read_steps
from ams_trace_query.export.writing import Portion, Selection

_OTHER_ID = "0" * 8
_document = msgspec.json.Decoder(TaskDocument)


class ArchiveWriter:
    """Writes tasks as an archive."""

    def __init__(self, database: Database, selection: Selection) -> None:
        """Write nothing yet.

        Args:
            database: Where the rows are.
            selection: What is exported.
        """
        self._database = database
        self._selection = selection
        self._tasks = self._steps = self._events = 0

    def begin(self) -> bytes:
        """The first line."""
        selection = self._selection
        header = ArchiveHeader(exported_at_us=selection.at_us, tasks=selection.tasks, steps=selection.steps, payloads=selection.payloads)
        return encode(header) + b"\n"

    async def task(self, task: StoredTask) -> AsyncIterator[Portion]:
        """The lines of one task."""
        self._tasks += 1
        named = ArchiveTask(task_id=task.task_id, name=task.row["name"], steps=task.row["steps"])
        yield Portion(encode(named) + b"\n" + self._lines(task.task_id, task_events(task.row)), 0)
        async for found in read_steps(self._database, task, payloads=self._selection.payloads):
            self._steps += len(found)
            # a line for each step, so that readers can count them
            yield Portion(b"".join(self._lines(task.task_id, step_events(step)) for step in found), len(found))
        async for rows in read_logs(self._database, task):
            yield Portion(self._lines(task.task_id, log_events(rows)), 0)
        async for rows in read_scores(self._database, task):
            yield Portion(self._lines(task.task_id, map(_score, rows)), 0)
        if self._selection.payloads:
            async for rows in read_media(self._database, task):
                yield Portion(self._lines(task.task_id, map(_media, rows)), 0)

    def end(self) -> bytes:
        """The last line."""
        return encode(ArchiveEnd(tasks=self._tasks, steps=self._steps, events=self._events)) + b"\n"

    def _lines(self, task_id: str, events: Iterable[Event]) -> bytes:
        lines: list[bytes] = []
        line: list[bytes] = []
        size = 0
        for event in events:
            self._events += 1
            data = encode(event)
            if line and size + len(data) > LINE_BYTES_TARGET:
                lines.append(_line(task_id, line))
                line, size = [], 0
            line.append(data)
            size += len(data)
        if line:
            lines.append(_line(task_id, line))
        return b"".join(lines)


def task_events(row: Any) -> Iterator[Event]:
    """The event of the task's own register; none when only its steps are known."""
    if row["document"] is None or row["stamp_phase"] is None:
        return
    kind = TaskEnded if row["stamp_phase"] == PHASE_ENDED else TaskStarted
    yield kind(event_id=row["stamp_event_id"], seq=0, at_us=row["stamp_at_us"], task=_document.decode(row["document"]))


def step_events(step: StepContents) -> Iterator[Event]:
    """The payloads of a step, then its registers.

    Sequence numbers are left out: they prove what a producer delivered, and an import is another producer. A lost step is written as
    open since its last beat: whether it is lost is for the platform that imports it to find.
    """
    row = step.row
    step_id: str = row["step_id"]
    for slot, payload in step.payloads.items():
        yield _payload(step_id, slot, payload)
    state = step_state(row)
    if state.document is not None and state.stamp is not None:
        kind = StepRecorded if state.ended else StepStarted
        yield kind(event_id=state.stamp.event_id, seq=0, at_us=state.stamp.at_us, step_id=step_id, step=state.document)
    progress, stamp = state.progress, state.progress_stamp
    if progress is not None and stamp is not None and not state.ended:
        status = "waiting" if progress.status is Status.WAITING else "running"
        beat = OpenStep(step_id=step_id, status=status, usage=progress.usage)
        yield StepProgressed(event_id=stamp.event_id, seq=0, at_us=progress.at_us, steps=[beat])


def log_events(rows: Sequence[Any]) -> Iterator[Event]:
    """Log lines as the events that brought them; the rows are in order of time, event and place."""
    for (at_us, event_id), lines in groupby(rows, lambda row: (row["at_us"], row["event_id"])):
        logs = [LogLine(step_id=line["step_id"], level=line["level"], text=line["text"]) for line in lines]
        yield StepProgressed(event_id=event_id, seq=0, at_us=at_us, logs=logs)


def _payload(step_id: str, slot: Slot, row: Any) -> PayloadStored:
    event_id: str = row["event_id"]
    if slot is Slot.ORIGINAL:
        # the tables hold what remains of a span; under its own id a replay with another mapping would take it for the whole
        event_id = _OTHER_ID + event_id[len(_OTHER_ID) :]
    return PayloadStored(
        event_id=event_id,
        seq=0,
        at_us=row["at_us"],
        step_id=step_id,
        slot=slot,
        mime=row["mime"],
        text=row["text"],
        bytes=row["bytes"],
        truncated=row["truncated"],
    )


def _score(row: Any) -> ScoreRecorded:
    return ScoreRecorded(
        event_id=row["event_id"],
        seq=0,
        at_us=row["at_us"],
        score_id=row["score_id"],
        step_id=row["step_id"],
        name=row["name"],
        number=row["number"],
        label=row["label"],
        comment=row["comment"],
        source=row["source"],
        author=row["author"],
    )


def _media(row: Any) -> MediaStored:
    digest: str = row["sha256"]
    return MediaStored(
        event_id=digest[:32],
        seq=0,
        at_us=0,
        sha256=digest,
        mime=row["mime"],
        bytes=row["bytes"],
        data=row["data"],
    )


def _line(task_id: str, events: Sequence[bytes]) -> bytes:
    return b'{"kind":"events","task_id":"%b","events":[%b]}\n' % (task_id.encode(), b",".join(events))
