"""The text projection: the words of names, inputs and outputs, for the search.

Indexing words takes ten times as long as writing the rows. So this projection reads both topics with positions of its own and gives way
to the others: under load the search lags for a while, and reports how far.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from ams_contracts.codec import MalformedError, Reject
from ams_contracts.documents import Slot, StepDocument
from ams_contracts.events import Batch, PayloadStored, StepEnded, StepRecorded
from ams_contracts.search_words import search_words, strip_json_escapes
from ams_kit.bus import LogRecord, PartitionBatch
from ams_trace_ingest.projector.decode import BatchDecoder, Rejected
from ams_trace_ingest.projector.failpoints import failpoint
from ams_trace_ingest.projector.transaction import Moves, TransactionalProjection, assign_days
from ams_trace_ingest.store import text
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.tasks import TaskKey
from ams_trace_ingest.store.text import TextRow

TEXT_BYTES_MAX = 8_192  # of each input and output: more is data, and the index grows with every word
RECORDS_MAX = 100  # of one transaction, so that the others wait only shortly
NAME = "name"  # a slot of its own, for the step's own words
INDEXED_SLOTS = frozenset({Slot.INPUT, Slot.OUTPUT})

WAIT_SECONDS_MAX = 15.0  # then a batch is applied anyway, so that the search makes progress under load
REST_FACTOR = 1.0  # of the time that the last batch took, when the others have no lag
REST_FACTOR_UNDER_LOAD = 9.0  # one tenth of the time, as long as others lag
LAG_CHECK_SECONDS = 0.1
PATIENCE_SECONDS = 600.0  # waiting for the others is no deafness
LAG_RECORDS_MAX = 2  # a record may hold a thousand events, and what is known to wait is known late

StampedText = tuple[int, int, str, str]
"""at_us, seq and event_id of an event, and its words."""


class LowPriorityThrottle:
    """Gives way to other projections: waits while they lag, and rests in proportion to its own work."""

    def __init__(self, lag_records: Callable[[], int]) -> None:
        """``lag_records`` returns the lag of the others."""
        self._lag_records = lag_records
        self._rest_until = 0.0

    async def wait(self) -> None:
        """Wait until the others have no lag and the rest is over, 15 s at most."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while (now := time.monotonic()) < deadline and (now < self._rest_until or self._lag_records() > LAG_RECORDS_MAX):  # noqa: ASYNC110  lag is measured, there is no event to wait for
            await asyncio.sleep(min(LAG_CHECK_SECONDS, deadline - now))

    def worked(self, seconds: float) -> None:
        """Rest in proportion to what a batch took."""
        rests = REST_FACTOR_UNDER_LOAD if self._lag_records() > LAG_RECORDS_MAX else REST_FACTOR
        self._rest_until = time.monotonic() + rests * seconds


class TextDecoder(BatchDecoder):
    """Both topics: the newest text of each slot. What cannot be read is a dead letter of the topic's own projection, and counted here."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.newest: dict[tuple[TaskKey, str, str], StampedText] = {}

    def add_event(self, record: LogRecord, batch: Batch, event: Any, *, replaced: bool) -> str | None:  # noqa: ARG002  the base's signature
        indexed = batch.task_id is not None and (
            isinstance(event, StepEnded | StepRecorded) or (isinstance(event, PayloadStored) and event.slot in INDEXED_SLOTS)
        )
        if not indexed:
            self.tally.ignored["no_text"] += 1
            return None
        slot, said = (event.slot.value, _payload_text(event)) if isinstance(event, PayloadStored) else (NAME, _step_text(event.step))
        changes = self.task_changes(record, batch)
        changes.events += 1
        key = (changes.key, event.step_id, slot)
        known = self.newest.get(key)
        if known is None or (event.at_us, event.seq, event.event_id) > known[:3]:
            self.newest[key] = (event.at_us, event.seq, event.event_id, search_words(said))
        elif event.event_id == known[2]:
            changes.duplicates += 1
        return None

    def _dead_letter_record(self, record: LogRecord, error: MalformedError) -> None:  # noqa: ARG002  the base's signature
        self.tally.ignored["unreadable"] += 1

    def _dead_letter(self, record: LogRecord, batch: Batch, reject: Reject) -> None:
        if (record.offset, reject.index) in self._rejected:
            super()._dead_letter(record, batch, reject)
        else:
            self.tally.ignored["unreadable"] += 1


def _payload_text(payload: PayloadStored) -> str:
    beginning = payload.text[:TEXT_BYTES_MAX]
    if not beginning.isascii():
        beginning = beginning.encode()[:TEXT_BYTES_MAX].decode(errors="ignore")
    return strip_json_escapes(beginning) if "json" in payload.mime or beginning.startswith(("{", "[")) else beginning


def _step_text(step: StepDocument) -> str:
    """What a step says by itself; its previews where there is no payload that says the same and more."""
    error = step.error
    parts = [
        step.name,
        step.tool_name if step.tool_name != step.name else None,
        error.type if error is not None else None,
        error.message if error is not None else None,
        step.preview_input if Slot.INPUT not in step.captured else None,
        step.preview_output if Slot.OUTPUT not in step.captured else None,
    ]
    return "\n".join(part for part in parts if part)


class TextProjection(TransactionalProjection):
    """Of either topic."""

    projection = "text"

    def __init__(self, *args: Any, throttle: LowPriorityThrottle | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._throttle = throttle

    async def apply(self, topic: str, partition: int, records: list[LogRecord], expected: int) -> int:
        if self._throttle is None:
            return await super().apply(topic, partition, records, expected)
        await self._throttle.wait()
        began = time.monotonic()
        try:
            return await super().apply(topic, partition, records, expected)
        finally:
            self._throttle.worked(time.monotonic() - began)

    async def apply_together(self, topic: str, slices: Sequence[PartitionBatch]) -> dict[int, int]:  # noqa: ARG002  the port's signature
        return {}  # it is throttled partition by partition

    def decoder(self, *, rejected: Rejected, events_max: int | None) -> TextDecoder:
        return TextDecoder(self.projection, self._now_us(), rejected=rejected, events_max=events_max)

    async def write(
        self,
        connection: Connection,
        decoder: BatchDecoder,
        *,
        moves: Moves,  # noqa: ARG002  the frame's signature
        generation: str,  # noqa: ARG002  the same
    ) -> Callable[[], None]:
        changes = decoder.changes
        if changes.tasks and isinstance(decoder, TextDecoder):
            days = await assign_days(connection, changes)
            rows = [
                TextRow(task, step_id, slot, days[task], *said)
                for (task, step_id, slot), said in decoder.newest.items()
                if task in changes.tasks
            ]
            failpoint("before_copy")
            if rows:
                decoder.tally.duplicates += await text.write(connection, rows)
            failpoint("after_copy")
            decoder.tally.duplicates += sum(task.duplicates for task in changes.tasks.values())
        return lambda: None
