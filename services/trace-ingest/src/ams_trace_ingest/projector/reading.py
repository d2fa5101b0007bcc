"""Records -> work: decode, refuse what cannot be, fold the rest in memory."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ams_contracts.codec import MalformedError, Reject, decode_batch, encode
from ams_contracts.documents import StepDocument
from ams_contracts.events import (
    AgentRegistered,
    Batch,
    PayloadStored,
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
from ams_contracts.fold import fold, fold_task
from ams_kit.bus import LogRecord
from ams_trace_ingest.projector.normalise import ATTEMPTS_MAX, COST_MAX_NUSD, DURATION_MAX_US, checked_step, checked_task, mend
from ams_trace_ingest.projector.working import StepWork, Tally, TaskWork, Work
from ams_trace_ingest.store.dead_letters import WHOLE_RECORD, DeadLetter
from ams_trace_ingest.store.producers import Delivered

DAY_US = 86_400_000_000
SEEN_STEP_US = 60_000_000  # an agent's last sight is kept to the minute: a hot row less
HEADER_VERSION = "v"
SUPPORTED_VERSION = b"1"

Buried = Mapping[tuple[int, int], tuple[str, str]]
"""Events that Postgres refused: (offset, index) -> reason and detail."""

_NOTHING_BURIED: Buried = {}


class TwoPartitionsError(Exception):
    """Records of one task lie in two partitions: somebody else than intake has written them.

    They are applied partition by partition, by what the tables say.
    """


class ReaderBase:
    """What the readers of both topics share: records in, batches and dead letters out."""

    def __init__(self, projection: str, now_us: int, *, buried: Buried = _NOTHING_BURIED, events_max: int | None = None) -> None:
        """``buried`` become dead letters; after ``events_max`` others the rest is left alone (both are for the search of a bad one)."""
        self.work = Work()
        self.tally = Tally()  # of the partition that is being read
        self.direct = False  # whether rows that seem new may go where a repeated one is refused
        self._projection = projection
        self._now_us = now_us
        self._buried = buried
        self._left = events_max

    def read(self, records: Sequence[LogRecord]) -> Work:
        """Everything that these records say."""
        for record in records:
            self._read(record)
        return self.work

    def seen_at_us(self, record: LogRecord) -> int:
        """The broker's time of a record; ours when it has none, or one of tomorrow."""
        us = record.timestamp_ms * 1_000
        return us if 0 < us < self._now_us + DAY_US else self._now_us

    def _read(self, record: LogRecord) -> None:
        tally = self.tally = self.work.tally(record.partition)
        try:
            _check_version(record)
            mended, replaced = (record.value, frozenset[int]()) if record.value is None else mend(record.value)
            decoded = decode_batch(mended)
            batch = decoded.batch
        except MalformedError as error:
            tally.events += 1
            self._bury_record(record, error)
            return
        for reject in decoded.rejects:
            tally.events += 1
            self._bury(record, batch, reject)
        if not self._buried and self._left is None and not replaced and self.take_all(record, batch):
            tally.events += len(batch.events)
            return
        for index, event in zip(decoded.indexes, batch.events, strict=True):
            if self._left == 0:
                return
            tally.events += 1
            if self._buried and (why := self._buried.get((record.offset, index))):
                self._bury(record, batch, Reject(index, *why, encode(event)))
                continue
            if self._left is not None:
                self._left -= 1
            refusal = self.take(record, batch, event, replaced=index in replaced if replaced else False)
            if refusal is not None:
                self._bury(record, batch, Reject(index, refusal, "", encode(event)))

    def take_all(self, record: LogRecord, batch: Batch) -> bool:  # noqa: ARG002  for those that have a quicker way
        """Take all events of a record at once, which are as they were sent.

        Returns:
            False when that cannot be, and nothing was taken.
        """
        return False

    def take(self, record: LogRecord, batch: Batch, event: Any, *, replaced: bool) -> str | None:
        """Take an event into the work.

        Returns:
            Why it cannot be taken, or null.
        """
        raise NotImplementedError

    def _bury_record(self, record: LogRecord, error: MalformedError) -> None:
        self.tally.dead += 1
        self.work.letters.append(
            DeadLetter(
                topic=record.topic, partition=record.partition, offset=record.offset, index=WHOLE_RECORD, projection=self._projection,
                project_id=_project_of(record.key), task_id=None, reason=error.code, detail=error.detail,
                bytes=record.value or b"", key=record.key, at_us=self.seen_at_us(record),
            )
        )  # fmt: skip

    def _bury(self, record: LogRecord, batch: Batch, reject: Reject) -> None:
        task = f'"task_id":"{batch.task_id}",' if batch.task_id is not None else ""
        alone = b'{"v":1,"project_id":"%b",%b"producer":%b,"events":[%b]}' % (
            batch.project_id.encode(),
            task.encode(),
            encode(batch.producer),
            reject.raw,
        )
        self.tally.dead += 1
        self.work.letters.append(
            DeadLetter(
                topic=record.topic, partition=record.partition, offset=record.offset, index=reject.index, projection=self._projection,
                project_id=batch.project_id, task_id=batch.task_id, reason=reject.code, detail=reject.detail,
                bytes=alone, key=record.key, at_us=self.seen_at_us(record),
            )
        )  # fmt: skip

    def task_work(self, record: LogRecord, batch: Batch) -> TaskWork:
        """The work of the batch's task, which has one.

        Raises:
            TwoPartitionsError: The task is in two of the partitions that are read together, which intake never does.
        """
        key = (batch.project_id, batch.task_id or "")
        work = self.work.tasks.get(key)
        if work is None:
            work = self.work.tasks[key] = TaskWork(key, record.partition, record.offset, self.seen_at_us(record))
        elif work.partition != record.partition:
            raise TwoPartitionsError(key)
        elif work.last_offset != record.offset:
            work.last_offset = record.offset
            work.seen_at_us = self.seen_at_us(record)
        return work

    def deliver(self, work: TaskWork, batch: Batch, seqs: list[int]) -> None:
        """Note that the producer's events came (OpenTelemetry's have no number)."""
        producer = batch.producer
        delivered = work.producers.get(producer.instance_id)
        if delivered is None:
            delivered = work.producers[producer.instance_id] = Delivered(producer.sdk, producer.version, producer.host, [])
        delivered.seqs.extend(seqs)


class StepsReader(ReaderBase):
    """The steps topic."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._seen: tuple[str, str, int] | None = None

    def take_all(self, record: LogRecord, batch: Batch) -> bool:
        events: Sequence[Any] = batch.events
        if batch.task_id is None or not _TAKE.keys() >= set(map(type, events)):
            return False
        work = self.task_work(record, batch)
        work.events += len(events)
        seqs = [event.seq for event in events if event.seq]
        if seqs:
            self.deliver(work, batch, seqs)
        last = work.last_event_at_us
        for event in events:
            kind = type(event)
            if event.at_us > last and kind is not StepLost:
                last = event.at_us
            _TAKE[kind](self, work, record, event, False)  # noqa: FBT003  as it was sent
        work.last_event_at_us = last
        return True

    def take(self, record: LogRecord, batch: Batch, event: Any, *, replaced: bool) -> str | None:
        kind = type(event)
        if kind is AgentRegistered:
            return self._agent(batch, event)
        if batch.task_id is None:
            return "no_task"
        if kind is PayloadStored:
            return "wrong_topic"
        work = self.task_work(record, batch)
        work.events += 1
        if event.seq:
            self.deliver(work, batch, [event.seq])
        if event.at_us > work.last_event_at_us and kind is not StepLost:
            work.last_event_at_us = event.at_us
        if kind is StepScored:
            return self._score(work, batch, event.seq)
        _TAKE[kind](self, work, record, event, replaced)
        return None

    def _agent(self, batch: Batch, event: AgentRegistered) -> str | None:
        if not event.name.strip():
            return "agent_without_name"
        key = (batch.project_id, event.name)
        known = self.work.registrations.get(key)
        if known is None or known.at_us <= event.at_us:
            self.work.registrations[key] = event
        self._see(key, event.at_us)
        return None

    def _see(self, key: tuple[str, str], at_us: int) -> None:
        minute = at_us - at_us % SEEN_STEP_US
        seen = (*key, minute)
        if seen == self._seen:  # mostly one agent speaks for a while
            return
        self._seen = seen
        if self.work.agents_seen.get(key, -1) < minute:
            self.work.agents_seen[key] = minute

    def document(self, work: TaskWork, record: LogRecord, event: StepStarted | StepEnded | StepRecorded, replaced: bool) -> None:
        document = event.step
        step_id = event.step_id
        if replaced or _out_of_range(document, step_id):
            document = checked_step(document, step_id, replaced=replaced)
            event = msgspec.structs.replace(event, step=document)
        step = work.steps.get(step_id)
        if step is None:
            step = work.steps[step_id] = StepWork(step_id, record.offset)
        self._fold(work, step, event)
        if document.parent_step_id is None:
            work.parentless = True
        if step.end_offset is None and not isinstance(event, StepStarted):
            step.end_offset = record.offset
        if document.agent:
            self._see((work.key[0], document.agent), event.at_us)

    def progressed(self, work: TaskWork, record: LogRecord, event: StepProgressed, _replaced: bool) -> None:
        for open_step in event.steps:
            work.heartbeats = True
            self._progress(work, record, event, open_step.step_id)

    def lost(self, work: TaskWork, record: LogRecord, event: StepLost, _replaced: bool) -> None:
        self._progress(work, record, event, event.step_id)

    def _progress(self, work: TaskWork, record: LogRecord, event: StepProgressed | StepLost, step_id: str) -> None:
        step = work.steps.get(step_id)
        if step is None:
            step = work.steps[step_id] = StepWork(step_id, record.offset)
        self._fold(work, step, event)

    def _fold(self, work: TaskWork, step: StepWork, event: StepStarted | StepEnded | StepRecorded | StepProgressed | StepLost) -> None:
        state = fold(step.state, event, step.step_id)
        step.seen_at_us = work.seen_at_us
        if state is not step.state:
            step.state = state
        elif not event.seq and state.stamp is not None and state.stamp.event_id == event.event_id:
            if isinstance(event, StepProgressed | StepLost) or event.step == state.document:
                work.duplicates += 1
            else:  # the first one stays
                work.conflicts += 1

    def task(self, work: TaskWork, _record: LogRecord, event: TaskStarted | TaskUpdated | TaskEnded, replaced: bool) -> None:
        document = checked_task(event.task, replaced=replaced)
        if document is not event.task:
            event = msgspec.structs.replace(event, task=document)
        work.state = fold_task(work.state, event)
        if document.agent:
            self._see((work.key[0], document.agent), event.at_us)

    def deleted(self, work: TaskWork, _record: LogRecord, event: TaskDeleted, _replaced: bool) -> None:
        if work.deleted_by is None:  # the first one stays, as it does when the second comes in a later batch
            work.deleted_by = event.by
            work.deleted_at_us = event.at_us

    def _score(self, work: TaskWork, batch: Batch, seq: int) -> None:
        """Scores have no table yet; one that came before is a duplicate, and nothing else."""
        if seq:
            work.producers[batch.producer.instance_id].scores.append(seq)
        else:
            work.scores += 1


_TAKE: dict[type, Callable[..., None]] = {
    StepStarted: StepsReader.document,
    StepEnded: StepsReader.document,
    StepRecorded: StepsReader.document,
    StepProgressed: StepsReader.progressed,
    StepLost: StepsReader.lost,
    TaskStarted: StepsReader.task,
    TaskUpdated: StepsReader.task,
    TaskEnded: StepsReader.task,
    TaskDeleted: StepsReader.deleted,
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
    """The project that a key names, so that its people see the dead letter. Keys are made by intake from the credential."""
    try:
        project = (key or b"").partition(b":")[0].decode()
    except UnicodeDecodeError:
        return None
    return project if _PROJECT.fullmatch(project) else None


_PROJECT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
