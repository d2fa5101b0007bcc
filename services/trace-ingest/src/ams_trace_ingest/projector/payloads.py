"""The payloads projection: inputs, outputs, stacks and the rest of a span -> rows. Independent of the steps projection, with its own positions."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, cast

import msgspec
from msgspec import Raw

from ams_contracts.codec import encode
from ams_contracts.documents import Slot
from ams_contracts.events import Batch, MediaStored, PayloadStored
from ams_kit.bus import LogRecord
from ams_kit.telemetry.metrics import SEQUENCE_NUMBERS_UNPROVEN
from ams_trace_ingest.projector.applier import NotTogetherError
from ams_trace_ingest.projector.changes import TaskChanges
from ams_trace_ingest.projector.decode import BatchDecoder, Rejected
from ams_trace_ingest.projector.failpoints import failpoint
from ams_trace_ingest.projector.transaction import Moves, TransactionalProjection, assign_days
from ams_trace_ingest.store import media, payloads, producers
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.tasks import TaskKey

PlaceKey = tuple[TaskKey, str, Slot]

_original = msgspec.json.Decoder(dict[str, Raw])
_attributes = msgspec.json.Decoder(dict[str, Raw])
_ONE_KIND = frozenset({PayloadStored})
_words = msgspec.json.Decoder(list[str])
_ORIGINAL = Slot.ORIGINAL  # bound once: access to an enum member costs 0.3 us
_DAY = payloads.COLUMNS.index("day")


class PayloadsDecoder(BatchDecoder):
    """The payloads topic: the newest payload of each slot."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.newest: dict[PlaceKey, PayloadStored] = {}
        self.media: dict[tuple[TaskKey, str], MediaStored] = {}

    def add_record(self, record: LogRecord, batch: Batch) -> bool:
        events = batch.events
        if batch.task_id is None or not _ONE_KIND.issuperset(map(type, events)):
            return False
        changes = self.task_changes(record, batch)
        changes.events += len(events)
        newest, key = self.newest, changes.key
        seqs = [event.seq for event in events if event.seq]
        if seqs:
            self.record_delivery(changes, batch, seqs)
        for event in cast("list[PayloadStored]", events):
            place = (key, event.step_id, event.slot)
            if newest.setdefault(place, event) is not event:
                self._compare(changes, place, event)
        return True

    def add_event(self, record: LogRecord, batch: Batch, event: Any, *, replaced: bool) -> str | None:  # noqa: ARG002  a payload has no flags: its characters are replaced, and that is all
        if not isinstance(event, PayloadStored | MediaStored):
            return "wrong_topic"
        if batch.task_id is None:
            return "no_task"
        changes = self.task_changes(record, batch)
        changes.events += 1
        if event.seq:
            self.record_delivery(changes, batch, [event.seq])
        if isinstance(event, MediaStored):
            if self.media.setdefault((changes.key, event.sha256), event) is not event:
                changes.duplicates += 1
            return None
        place = (changes.key, event.step_id, event.slot)
        if self.newest.setdefault(place, event) is not event:
            self._compare(changes, place, event)
        return None

    def _compare(self, changes: TaskChanges, place: PlaceKey, event: PayloadStored) -> None:
        known = self.newest[place]
        if (event.at_us, event.seq, event.event_id) > (known.at_us, known.seq, known.event_id):
            self.newest[place] = event
        elif event.event_id == known.event_id:
            changes.duplicates += 1


class PayloadsProjection(TransactionalProjection):
    """The payloads topic."""

    projection = "payloads"

    def decoder(self, *, rejected: Rejected, events_max: int | None) -> PayloadsDecoder:
        return PayloadsDecoder(self.projection, self._now_us(), rejected=rejected, events_max=events_max)

    async def write(
        self,
        connection: Connection,
        decoder: BatchDecoder,
        *,
        moves: Moves,  # noqa: ARG002  the frame's signature
        generation: str,
    ) -> Callable[[], None]:
        unproven = 0
        changes = decoder.changes
        if changes.tasks and isinstance(decoder, PayloadsDecoder):
            days = await assign_days(connection, changes)
            rows = [_row(task, step_id, event, days[task]) for (task, step_id, _), event in decoder.newest.items() if task in changes.tasks]
            failpoint("before_copy")
            if rows:
                # mostly nobody sends a payload twice; when somebody does, Postgres refuses and the batch is written carefully
                direct = decoder.direct and await self.day_partitions.exist(
                    connection, generation, "step_payloads", {row[_DAY] for row in rows}
                )
                if direct:
                    await payloads.insert(connection, rows)
                elif len(changes.tallies) > 1:
                    raise NotTogetherError
                else:
                    decoder.tally.duplicates += await payloads.write(connection, rows)
            failpoint("after_copy")
            for (task_key, _), is_new in (await media.write(connection, _media_rows(decoder, days))).items():
                changes.tasks[task_key].duplicates += not is_new
            for task in changes.tasks.values():
                changes.tally_of(task).duplicates += task.duplicates
            delivered = {(*key, instance_id): sent for key, task in changes.tasks.items() for instance_id, sent in task.producers.items()}
            unproven = await producers.merge(connection, delivered)
            failpoint("after_producers")
        return lambda: SEQUENCE_NUMBERS_UNPROVEN.inc(unproven)


def _row(task: TaskKey, step_id: str, event: PayloadStored, day: date) -> tuple[Any, ...]:
    text = leftover(event.text) if event.slot is _ORIGINAL and event.consumed is None else event.text
    return (
        *task,
        step_id,
        event.slot,
        day,
        event.at_us,
        event.seq,
        event.event_id,
        event.mime,
        text,
        event.bytes,
        event.truncated,
    )


def _media_rows(decoder: PayloadsDecoder, days: Mapping[TaskKey, date]) -> list[media.MediaRow]:
    return [
        media.MediaRow(task, event.sha256, days[task], event.mime, event.data)
        for (task, _), event in decoder.media.items()
        if task in decoder.changes.tasks
    ]


def leftover(text: str) -> str:
    """The attributes that the mapping did not consume; the log keeps the complete original."""
    if '"consumed"' not in text:
        return text
    try:
        original = _original.decode(text)
        consumed = set(_words.decode(original.pop("consumed", Raw(b"[]"))))
        attributes = _attributes.decode(original.get("attributes", Raw(b"{}")))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return text  # cut, or another shape: better whole than lost
    if not consumed:
        return text
    original["attributes"] = Raw(encode({key: value for key, value in attributes.items() if key not in consumed}))
    return encode(original).decode()
