"""Maps the originals of the log again with today's rules and prices, and lets a replay count what they say now (ADR 0054).

The steps' events and their originals are in two topics. So a first pass reads the payloads and stores, for each event, the document that today's
mapping makes of its original; then the steps are read as in any replay, with these documents in the place of those of the events. Documents that
are equal are deleted again, so what stays is what differs. Inputs and outputs stay as they were stored.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from ams_contracts.codec import MalformedError, decode_batch, encode
from ams_contracts.documents import Slot, StepDocument
from ams_contracts.events import Batch, PayloadStored, StepEnded, StepRecorded, StepStarted
from ams_kit.bus import LogRecord
from ams_trace_ingest.mapping.identity import main_agent_of
from ams_trace_ingest.mapping.map_request import name_agents
from ams_trace_ingest.mapping.map_span import map_span
from ams_trace_ingest.mapping.mapped_span import MappedSpan
from ams_trace_ingest.mapping.original import read_original
from ams_trace_ingest.mapping.payloads import payload_id
from ams_trace_ingest.pricing.price import Prices
from ams_trace_ingest.projector.applier import DECODE_BYTES
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.decode import BatchDecoder, Rejected, StepsDecoder
from ams_trace_ingest.projector.transaction import ACQUIRE_TIMEOUT_SECONDS, Moves, TransactionalProjection, assign_days
from ams_trace_ingest.replay.reprice import repriced
from ams_trace_ingest.store import remapped
from ams_trace_ingest.store.connections import Connection, set_generation
from ams_trace_ingest.store.remapped import RemappedKey

CUT, INCOMPLETE = "original_cut", "original_incomplete"
_MAPPED_SLOTS = frozenset({Slot.INPUT, Slot.OUTPUT, Slot.ORIGINAL, Slot.ERROR_STACK})
_document = msgspec.json.Decoder(StepDocument)


class _Cut(msgspec.Struct):
    cut: dict[str, int] | None = None


_cut = msgspec.json.Decoder(_Cut)


class OriginalsDecoder(BatchDecoder):
    """The payloads topic: the documents that today's mapping makes of originals."""

    def __init__(self, *args: Any, prices: Prices, **options: Any) -> None:
        super().__init__(*args, **options)
        self._prices = prices
        self.documents: dict[RemappedKey, StepDocument] = {}

    def add_record(self, record: LogRecord, batch: Batch) -> bool:
        if batch.task_id is None:
            return False
        changes = self.task_changes(record, batch)
        changes.events += len(batch.events)
        of_event: dict[str, list[PayloadStored]] = {}
        for event in batch.events:
            if isinstance(event, PayloadStored) and not event.seq and event.slot in _MAPPED_SLOTS:
                of_event.setdefault(payload_id(event.event_id, event.slot), []).append(event)
        found: list[tuple[str, MappedSpan]] = []
        services: list[str] = []
        for event_id, payloads in of_event.items():
            original = next((payload for payload in payloads if payload.slot is Slot.ORIGINAL), None)
            if original is None:
                continue
            if original.truncated or _is_cut(original.text):
                self.tally.ignored[CUT] += 1
                continue
            try:
                resource, scope, span = read_original(payloads)
            except (KeyError, ValueError, TypeError):
                self.tally.ignored[INCOMPLETE] += 1
                continue
            received_at_us = self.seen_at_us(record) if span.start_ns or span.end_ns else original.at_us
            mapped = map_span(
                batch.project_id, resource, scope, span, received_at_us=received_at_us, prices=self._prices.of(batch.project_id)
            )
            found.append((event_id, mapped))
            services.append(main_agent_of(resource))
        name_agents([mapped for _, mapped in found], services)
        for event_id, mapped in found:
            self.documents[batch.project_id, batch.task_id, event_id] = mapped.event.step
        return True

    def add_event(self, record: LogRecord, batch: Batch, event: Any, *, replaced: bool) -> str | None:  # noqa: ARG002  the base's signature
        if isinstance(event, PayloadStored) and event.slot is Slot.ORIGINAL:
            self.tally.ignored[INCOMPLETE] += 1
        return None

    def _dead_letter_record(self, record: LogRecord, error: MalformedError) -> None:  # noqa: ARG002  the payloads projection keeps it
        self.tally.ignored["unreadable"] += 1

    def _dead_letter(self, record: LogRecord, batch: Batch, reject: Any) -> None:  # noqa: ARG002  the same
        self.tally.ignored["unreadable"] += 1


class OriginalsProjection(TransactionalProjection):
    """Originals of the payloads topic -> ``remapped``."""

    projection = "remap"

    def __init__(self, *args: Any, prices: Prices, **options: Any) -> None:
        super().__init__(*args, **options)
        self._prices = prices

    def decoder(self, *, rejected: Rejected, events_max: int | None) -> OriginalsDecoder:
        return OriginalsDecoder(self.projection, self._now_us(), rejected=rejected, events_max=events_max, prices=self._prices)

    async def write(
        self,
        connection: Connection,
        decoder: BatchDecoder,
        *,
        moves: Moves,  # noqa: ARG002  the frame's signature
        generation: str,  # noqa: ARG002  the same
    ) -> Callable[[], None]:
        changes = decoder.changes
        if changes.tasks and isinstance(decoder, OriginalsDecoder):
            await assign_days(connection, changes)
            await remapped.insert(
                connection, ((key, encode(document).decode()) for key, document in decoder.documents.items() if key[:2] in changes.tasks)
            )
        return lambda: None


class RemappedDecoder(StepsDecoder):
    """Decodes events as if they had been mapped now."""

    def __init__(self, *args: Any, documents: dict[RemappedKey, StepDocument], prices: Prices | None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._documents = documents
        self._prices = prices
        self.same: list[RemappedKey] = []

    def add_record(self, record: LogRecord, batch: Batch) -> bool:
        return super().add_record(record, replace(batch, events=[self._remapped(batch, event) for event in batch.events]))

    def add_event(self, record: LogRecord, batch: Batch, event: Any, *, replaced: bool) -> str | None:
        return super().add_event(record, batch, self._remapped(batch, event), replaced=replaced)

    def _remapped(self, batch: Batch, event: Any) -> Any:
        if not isinstance(event, StepStarted | StepEnded | StepRecorded):
            return event
        key = (batch.project_id, batch.task_id or "", event.event_id)
        document = self._documents.get(key)
        if document is None:
            document = event.step
        else:
            step = event.step
            document = replace(document, captured=step.captured, too_large=step.too_large, service=document.service or step.service)
            if document == event.step:
                self.same.append(key)
        if self._prices is not None:
            document = repriced(document, self._prices.of(batch.project_id), event.at_us, ended=not isinstance(event, StepStarted))
        return replace(event, step=document)


class RemappingProjection(StepsProjection):
    """The steps projection with the documents of ``remapped``."""

    def __init__(self, *args: Any, prices: Prices | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._prices = prices

    async def _decode(self, records: Sequence[LogRecord], rejected: Rejected | None = None, events_max: int | None = None) -> BatchDecoder:
        decoder = RemappedDecoder(
            self.projection,
            self._now_us(),
            rejected=rejected or {},
            events_max=events_max,
            documents=await self._documents(_keys_of(records)),
            prices=self._prices,
        )
        room = DECODE_BYTES
        for record in records:
            if room <= 0:
                await asyncio.sleep(0)
                room = DECODE_BYTES
            decoder.add(record)
            room -= len(record.value or b"")
        return decoder

    async def _documents(self, keys: list[RemappedKey]) -> dict[RemappedKey, StepDocument]:
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection, connection.transaction():
            await set_generation(connection)
            return {key: _document.decode(text) for key, text in (await remapped.load(connection, keys)).items()}

    async def write(self, connection: Connection, decoder: BatchDecoder, *, generation: str, moves: Moves) -> Callable[[], None]:
        if isinstance(decoder, RemappedDecoder):
            await remapped.delete(connection, decoder.same)
        return await super().write(connection, decoder, generation=generation, moves=moves)


def _keys_of(records: Iterable[LogRecord]) -> list[RemappedKey]:
    keys: list[RemappedKey] = []
    for record in records:
        try:
            batch = None if record.value is None else decode_batch(record.value).batch
        except MalformedError:
            continue
        if batch is not None and batch.task_id is not None:
            found = (event for event in batch.events if isinstance(event, StepStarted | StepEnded | StepRecorded))
            keys += [(batch.project_id, batch.task_id, event.event_id) for event in found]
    return keys


def _is_cut(text: str) -> bool:
    if '"cut":' not in text:
        return False
    try:
        return bool(_cut.decode(text).cut)
    except msgspec.MsgspecError:
        return True
