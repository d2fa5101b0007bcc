"""Records -> changes: decode, turn what is invalid into dead letters, fold the rest in memory."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ams_contracts.codec import MalformedError, Reject, decode_batch, encode
from ams_contracts.documents import StepDocument
from ams_contracts.events import (
    AgentRegistered,
    Batch,
    PriceSet,
    ProducerReported,
    ProjectTombstone,
    ScoreRecorded,
    StepEnded,
    StepLost,
    StepProgressed,
    StepRecorded,
    StepScored,
    StepStarted,
    TaskDeleted,
    TaskEnded,
    TaskStarted,
    TaskUpdated,
)
from ams_contracts.fold import EMPTY_STEP, fold, fold_task
from ams_contracts.scores import score_of, stamp_of_score
from ams_kit.bus import LogRecord
from ams_trace_ingest.projector.changes import BatchChanges, StepChanges, Tally, TaskChanges
from ams_trace_ingest.projector.normalise import (
    ATTEMPTS_MAX,
    COST_MAX_NUSD,
    DURATION_MAX_US,
    checked_step,
    checked_task,
    replace_invalid_escapes,
)
from ams_trace_ingest.store.dead_letters import WHOLE_RECORD, DeadLetter
from ams_trace_ingest.store.producers import Delivered
from ams_trace_ingest.store.step_logs import LoggedLine
from ams_trace_ingest.store.task_days import DAY_US

SEEN_STEP_US = 60_000_000  # the last sight of an agent is stored by the minute, so that its row is written rarely
HEADER_VERSION = "v"
SUPPORTED_VERSION = b"1"

Rejected = Mapping[tuple[int, int], tuple[str, str]]
"""Events that Postgres refused: (offset, index) -> reason and detail."""

_NONE_REJECTED: Rejected = {}


class TwoPartitionsError(Exception):
    """Records of one task are in two partitions: another program than intake has written them.

    They are applied partition by partition, without the cache.
    """


class BatchDecoder:
    """What the decoders of both topics share: they turn records into changes and dead letters."""

    def __init__(self, projection: str, now_us: int, *, rejected: Rejected = _NONE_REJECTED, events_max: int | None = None) -> None:
        """``rejected`` events become dead letters; after ``events_max`` others the rest is skipped (both serve the search for a bad event)."""
        self.changes = BatchChanges()
        self.tally = Tally()  # of the partition that is being decoded
        self.direct = False  # whether rows that seem new are copied directly, so that Postgres refuses a repeated one
        self._projection = projection
        self._now_us = now_us
        self._rejected = rejected
        self._left = events_max

    def seen_at_us(self, record: LogRecord) -> int:
        """The broker's time of a record; our time when it has none, or one more than a day ahead."""
        us = record.timestamp_ms * 1_000
        return us if 0 < us < self._now_us + DAY_US else self._now_us

    def add(self, record: LogRecord) -> None:
        """Decode a record and add its events to the changes; what cannot be decoded becomes a dead letter."""
        tally = self.tally = self.changes.tally(record.partition)
        try:
            _check_version(record)
            cleaned, replaced = (record.value, frozenset[int]()) if record.value is None else replace_invalid_escapes(record.value)
            decoded = decode_batch(cleaned)
            batch = decoded.batch
        except MalformedError as error:
            tally.events += 1
            self._dead_letter_record(record, error)
            return
        for reject in decoded.rejects:
            tally.events += 1
            self._dead_letter(record, batch, reject)
        if not self._rejected and self._left is None and not replaced and self.add_record(record, batch):
            tally.events += len(batch.events)
            return
        for index, event in zip(decoded.indexes, batch.events, strict=True):
            if self._left == 0:
                return
            tally.events += 1
            if self._rejected and (why := self._rejected.get((record.offset, index))):
                self._dead_letter(record, batch, Reject(index, *why, encode(event)))
                continue
            if self._left is not None:
                self._left -= 1
            if type(event) is ProjectTombstone:
                self.changes.deleted_projects.setdefault(batch.project_id, event)
                continue
            refusal = self.add_event(record, batch, event, replaced=index in replaced if replaced else False)
            if refusal is not None:
                self._dead_letter(record, batch, Reject(index, refusal, "", encode(event)))

    def add_record(self, record: LogRecord, batch: Batch) -> bool:  # noqa: ARG002  for decoders that have a faster way
        """Add all events of an unchanged record at once.

        Returns:
            False when that is not possible; then nothing was added.
        """
        return False

    def add_event(self, record: LogRecord, batch: Batch, event: Any, *, replaced: bool) -> str | None:
        """Add an event to the changes.

        Returns:
            Why it cannot be added, or null.
        """
        raise NotImplementedError

    def _dead_letter_record(self, record: LogRecord, error: MalformedError) -> None:
        self.tally.dead += 1
        self.changes.letters.append(
            DeadLetter(
                topic=record.topic, partition=record.partition, offset=record.offset, index=WHOLE_RECORD, projection=self._projection,
                project_id=_project_of(record.key), task_id=None, reason=error.code, detail=error.detail,
                bytes=record.value or b"", key=record.key, at_us=self.seen_at_us(record),
            )
        )  # fmt: skip

    def _dead_letter(self, record: LogRecord, batch: Batch, reject: Reject) -> None:
        task = f'"task_id":"{batch.task_id}",' if batch.task_id is not None else ""
        alone = b'{"v":1,"project_id":"%b",%b"producer":%b,"events":[%b]}' % (
            batch.project_id.encode(),
            task.encode(),
            encode(batch.producer),
            reject.raw,
        )
        self.tally.dead += 1
        self.changes.letters.append(
            DeadLetter(
                topic=record.topic, partition=record.partition, offset=record.offset, index=reject.index, projection=self._projection,
                project_id=batch.project_id, task_id=batch.task_id, reason=reject.code, detail=reject.detail,
                bytes=alone, key=record.key, at_us=self.seen_at_us(record),
            )
        )  # fmt: skip

    def task_changes(self, record: LogRecord, batch: Batch) -> TaskChanges:
        """The changes of the batch's task.

        Raises:
            TwoPartitionsError: The task is in two of the partitions that are read together, which intake never does.
        """
        key = (batch.project_id, batch.task_id or "")
        changes = self.changes.tasks.get(key)
        if changes is None:
            changes = self.changes.tasks[key] = TaskChanges(key, record.partition, record.offset, self.seen_at_us(record))
        elif changes.partition != record.partition:
            raise TwoPartitionsError(key)
        elif changes.last_offset != record.offset:
            changes.last_offset = record.offset
            changes.seen_at_us = self.seen_at_us(record)
        return changes

    def record_delivery(self, changes: TaskChanges, batch: Batch, seqs: list[int]) -> None:
        """Note which sequence numbers a producer delivered (events of OpenTelemetry have none)."""
        producer = batch.producer
        delivered = changes.producers.get(producer.instance_id)
        if delivered is None:
            delivered = changes.producers[producer.instance_id] = Delivered(producer.sdk, producer.version, producer.host, [])
        delivered.seqs.extend(seqs)


class StepsDecoder(BatchDecoder):
    """The steps topic."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._seen: tuple[str, str, int] | None = None

    def add_record(self, record: LogRecord, batch: Batch) -> bool:
        events: Sequence[Any] = batch.events
        if batch.task_id is None or not _HANDLERS.keys() >= set(map(type, events)):
            return False
        changes = self.task_changes(record, batch)
        changes.events += len(events)
        seqs = [event.seq for event in events if event.seq]
        if seqs:
            self.record_delivery(changes, batch, seqs)
        last = changes.last_event_at_us
        for event in events:
            kind = type(event)
            if event.at_us > last and kind is not StepLost:
                last = event.at_us
            _HANDLERS[kind](self, changes, record, event, False)  # noqa: FBT003  as it was sent
        changes.last_event_at_us = last
        return True

    def add_event(self, record: LogRecord, batch: Batch, event: Any, *, replaced: bool) -> str | None:
        kind = type(event)
        if kind is AgentRegistered:
            return self._agent(batch, event)
        if kind is PriceSet:
            self.changes.prices.append((batch.project_id, event))
            return None
        if batch.task_id is None:
            return "no_task"
        handler = _HANDLERS.get(kind)
        if handler is None and kind is not ProducerReported:
            return "wrong_topic"
        changes = self.task_changes(record, batch)
        changes.events += 1
        if event.seq:
            self.record_delivery(changes, batch, [event.seq])
        if event.at_us > changes.last_event_at_us and kind is not StepLost:
            changes.last_event_at_us = event.at_us
        if handler is None:
            self._report(changes, batch, event)
        else:
            handler(self, changes, record, event, replaced)
        return None

    def _agent(self, batch: Batch, event: AgentRegistered) -> str | None:
        if not event.name.strip():
            return "agent_without_name"
        key = (batch.project_id, event.name)
        known = self.changes.registrations.get(key)
        if known is None or known.at_us <= event.at_us:
            self.changes.registrations[key] = event
        self._see(key, event.at_us)
        return None

    def _see(self, key: tuple[str, str], at_us: int) -> None:
        minute = at_us - at_us % SEEN_STEP_US
        seen = (*key, minute)
        if seen == self._seen:  # consecutive events are mostly of one agent
            return
        self._seen = seen
        if self.changes.agents_seen.get(key, -1) < minute:
            self.changes.agents_seen[key] = minute

    def document(self, changes: TaskChanges, record: LogRecord, event: StepStarted | StepEnded | StepRecorded, replaced: bool) -> None:
        document = event.step
        step_id = event.step_id
        if replaced or _out_of_range(document, step_id):
            document = checked_step(document, step_id, replaced=replaced)
            event = msgspec.structs.replace(event, step=document)
        step = changes.steps.get(step_id)
        if step is None:
            changes.steps[step_id] = step = StepChanges(step_id, record.offset, fold(EMPTY_STEP, event, step_id))
            step.seen_at_us = changes.seen_at_us
        else:
            self._fold(changes, step, event)
        if document.parent_step_id is None:
            changes.parentless = True
        if step.end_offset is None and type(event) is not StepStarted:
            step.end_offset = record.offset
        if document.agent:
            self._see((changes.key[0], document.agent), event.at_us)

    def progressed(self, changes: TaskChanges, record: LogRecord, event: StepProgressed, _replaced: bool) -> None:
        for open_step in event.steps:
            changes.heartbeats = True
            self._progress(changes, record, event, open_step.step_id)
        changes.logged.extend(
            LoggedLine(line.step_id, event.at_us, event.event_id, place, line.level, line.text) for place, line in enumerate(event.logs)
        )

    def lost(self, changes: TaskChanges, record: LogRecord, event: StepLost, _replaced: bool) -> None:
        self._progress(changes, record, event, event.step_id)

    def _progress(self, changes: TaskChanges, record: LogRecord, event: StepProgressed | StepLost, step_id: str) -> None:
        step = changes.steps.get(step_id)
        if step is None:
            step = changes.steps[step_id] = StepChanges(step_id, record.offset)
        self._fold(changes, step, event)

    def _fold(
        self, changes: TaskChanges, step: StepChanges, event: StepStarted | StepEnded | StepRecorded | StepProgressed | StepLost
    ) -> None:
        state = fold(step.state, event, step.step_id)
        step.seen_at_us = changes.seen_at_us
        if state is not step.state:
            step.state = state
        elif not event.seq and state.stamp is not None and state.stamp.event_id == event.event_id:
            if isinstance(event, StepProgressed | StepLost) or event.step == state.document:
                changes.duplicates += 1
            else:  # the first one stays
                changes.conflicts += 1

    def task(self, changes: TaskChanges, _record: LogRecord, event: TaskStarted | TaskUpdated | TaskEnded, replaced: bool) -> None:
        document = checked_task(event.task, replaced=replaced)
        if document is not event.task:
            event = msgspec.structs.replace(event, task=document)
        changes.state = fold_task(changes.state, event)
        if document.agent:
            self._see((changes.key[0], document.agent), event.at_us)

    def deleted(self, changes: TaskChanges, _record: LogRecord, event: TaskDeleted, _replaced: bool) -> None:
        if changes.deleted_by is None:  # the first one stays, as it does when the second comes in a later batch
            changes.deleted_by = event.by
            changes.deleted_at_us = event.at_us

    def score(self, changes: TaskChanges, _record: LogRecord, event: ScoreRecorded | StepScored, _replaced: bool) -> None:
        score = score_of(event)
        known = changes.scores.get(score.score_id)
        if known is None or stamp_of_score(score) > stamp_of_score(known):
            changes.scores[score.score_id] = score
        elif not score.seq and score.event_id == known.event_id:
            changes.duplicates += 1

    def _report(self, changes: TaskChanges, batch: Batch, event: ProducerReported) -> None:
        self.record_delivery(changes, batch, [])
        producer = changes.producers[batch.producer.instance_id]
        known = producer.report
        if known is None or (event.at_us, event.seq, event.event_id) > (known.at_us, known.seq, known.event_id):
            producer.report = event


_HANDLERS: dict[type, Callable[..., None]] = {
    StepStarted: StepsDecoder.document,
    StepEnded: StepsDecoder.document,
    StepRecorded: StepsDecoder.document,
    StepProgressed: StepsDecoder.progressed,
    StepLost: StepsDecoder.lost,
    TaskStarted: StepsDecoder.task,
    TaskUpdated: StepsDecoder.task,
    TaskEnded: StepsDecoder.task,
    TaskDeleted: StepsDecoder.deleted,
    StepScored: StepsDecoder.score,
    ScoreRecorded: StepsDecoder.score,
}


def _out_of_range(document: StepDocument, step_id: str) -> bool:
    duration, ttft, cost = document.duration_us, document.ttft_us, document.cost_nusd
    return (
        (duration is not None and not 0 <= duration <= DURATION_MAX_US)
        or (ttft is not None and not 0 <= ttft <= DURATION_MAX_US)
        or (cost is not None and not 0 <= cost <= COST_MAX_NUSD)
        or not 1 <= document.attempts <= ATTEMPTS_MAX
        or document.parent_step_id == step_id
    )


def _check_version(record: LogRecord) -> None:
    for name, value in record.headers:
        if name == HEADER_VERSION and value != SUPPORTED_VERSION:
            code = "unsupported_major" if value.isdigit() and len(value) < 4 else "bad_header"  # noqa: PLR2004  a version of more digits is none
            raise MalformedError(code, f"header v is {value[:32]!r}, this reads 1")


def _project_of(key: bytes | None) -> str | None:
    """The project that a record's key names, so that its members see the dead letter. Intake makes keys from the credential."""
    try:
        project = (key or b"").partition(b":")[0].decode()
    except UnicodeDecodeError:
        return None
    return project if _PROJECT.fullmatch(project) else None


_PROJECT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
