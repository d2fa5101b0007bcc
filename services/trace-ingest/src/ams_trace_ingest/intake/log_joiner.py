"""Spans and log records of one step meet here, whichever arrives first.

An exporter of logs and one of spans send on their own schedules, some seconds apart. What a log record says about previews, finish reasons and
failures belongs into the step's document, and a document is published whole. So intake remembers for an hour the documents that a record may
complete, and the records whose span has not arrived, and publishes the completed document as one more event of the step.

The memory is that of one process: with several replicas, the parts of one step may arrive at different ones. Then the payloads still join the
step, for they carry its ids, and the document stays as its span said it.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ams_contracts.codec import encode
from ams_contracts.documents import Status, StepDocument
from ams_contracts.events import MediaStored, PayloadStored, ScoreRecorded, StepRecorded, StepStarted
from ams_kit.telemetry.metrics import EVENTS_IGNORED
from ams_trace_ingest.mapping.map_logs import StepLogs, map_logs, merged, response_id_of, together
from ams_trace_ingest.mapping.mapped_span import MappedSpan
from ams_trace_ingest.mapping.span_model import LogRecord

STEPS_MAX = 5_000  # documents that a record may complete: some 10 MB, at worst 100
WAITING_MAX = 5_000  # steps, and responses, whose span has not arrived
RECORDS_OF_RESPONSE_MAX = 16
RECORD_BYTES_MAX = 4_096  # of a record that waits for its response; evaluations have some hundred
WAIT_SECONDS = 3_600.0

T = TypeVar("T")
StepKey = tuple[str, str, str]
"""Project, task and step."""


class Additions(Struct):
    """What is to be published beside what was sent: ``(task_id, event)``."""

    steps: list[tuple[str, StepRecorded | StepStarted | ScoreRecorded]]
    payloads: list[tuple[str, PayloadStored | MediaStored]]


class LogOutcome(Struct):
    """What became of the records of a request.

    Attributes:
        additions: Payloads of steps, documents that were completed, and scores.
        ignored: Records that are no GenAI events.
        refused: GenAI events that name neither a span nor a response: they belong to nothing.
    """

    additions: Additions
    ignored: int
    refused: int


class LogJoiner:
    """The steps and records of all projects that may still meet. Safe to call from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._documents: _Expiring[StepKey, tuple[StepRecorded | StepStarted, int]] = _Expiring(STEPS_MAX, clock)
        self._responses: _Expiring[tuple[str, str], tuple[str, str]] = _Expiring(STEPS_MAX, clock)
        self._waiting: _Expiring[StepKey, StepLogs] = _Expiring(WAITING_MAX, clock, unjoined=True)
        self._waiting_for_response: _Expiring[tuple[str, str], list[LogRecord]] = _Expiring(WAITING_MAX, clock, unjoined=True)
        self._lock = Lock()

    def add_spans(self, project_id: str, items: Iterable[MappedSpan], *, received_at_us: int) -> Additions:
        """Remember spans, and complete those whose records arrived before them."""
        additions = Additions([], [])
        with self._lock:
            for item in items:
                document = item.event.step
                key = (project_id, item.task_id, item.event.step_id)
                if may_gain(document):
                    self._documents.put(key, (item.event, 0))
                if document.response_id is not None:
                    self._responses.put((project_id, document.response_id), (item.task_id, item.event.step_id))
                    records = self._waiting_for_response.pop((project_id, document.response_id))
                    if records:
                        self._join(project_id, [_placed(record, key) for record in records], received_at_us, additions)
                logs = self._waiting.pop(key)
                if logs is not None:
                    self._complete(key, logs, additions)
        return additions

    def add_logs(self, project_id: str, records: Sequence[LogRecord], *, received_at_us: int) -> LogOutcome:
        """Join records to their steps; those whose span has not arrived wait for it."""
        additions = Additions([], [])
        with self._lock:
            ignored, unplaced = self._join(project_id, records, received_at_us, additions)
            refused = 0
            for record in unplaced:
                response_id = response_id_of(record)
                place = None if response_id is None else self._responses.get((project_id, response_id))
                if response_id is None:
                    refused += 1
                elif place is not None:
                    self._join(project_id, [_placed(record, (project_id, *place))], received_at_us, additions)
                elif len(encode(record)) > RECORD_BYTES_MAX:
                    EVENTS_IGNORED.labels("intake", "unjoined_log").inc()
                else:
                    waiting = self._waiting_for_response.get((project_id, response_id)) or []
                    self._waiting_for_response.put((project_id, response_id), [*waiting, record][-RECORDS_OF_RESPONSE_MAX:])
        return LogOutcome(additions, ignored, refused)

    def _join(
        self, project_id: str, records: Sequence[LogRecord], received_at_us: int, additions: Additions
    ) -> tuple[int, list[LogRecord]]:
        mapped = map_logs(project_id, records, received_at_us=received_at_us)
        additions.payloads += mapped.payloads
        additions.steps += mapped.scores
        for (task_id, step_id), logs in mapped.steps.items():
            key = (project_id, task_id, step_id)
            if self._documents.get(key) is None:
                self._waiting.put(key, together(self._waiting.pop(key), logs))
            else:
                self._complete(key, logs, additions)
        return mapped.ignored, mapped.unplaced

    def _complete(self, key: StepKey, logs: StepLogs, additions: Additions) -> None:
        found = self._documents.get(key)
        if found is None:
            return
        event, revision = found
        document = merged(event.step, logs)
        if document is event.step:
            return
        # later than the span by a microsecond each time: the highest stamp wins, in whatever order the log is read
        at_us = event.at_us + 1
        event_id = hashlib.blake2b(f"{event.event_id}{revision}{document.error}{document.captured}".encode(), digest_size=16).hexdigest()
        completed = replace(event, event_id=event_id, at_us=at_us, step=document)
        self._documents.put(key, (completed, revision + 1))
        additions.steps.append((key[1], completed))


def may_gain(document: StepDocument) -> bool:
    """Whether a log record can still say something new about a step."""
    failed = document.status is Status.ERROR and (document.error is None or document.error.message is None)
    return failed or document.preview_input is None or document.preview_output is None


def _placed(record: LogRecord, key: StepKey) -> LogRecord:
    return replace(record, trace_id=key[1], span_id=key[2])


K = TypeVar("K")


class _Expiring(Generic[K, T]):
    """A map that forgets the oldest entries, by number and by age."""

    def __init__(self, entries_max: int, clock: Callable[[], float], *, unjoined: bool = False) -> None:
        self._entries: OrderedDict[K, tuple[float, T]] = OrderedDict()
        self._entries_max = entries_max
        self._clock = clock
        self._unjoined = unjoined

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> T | None:
        entry = self._entries.get(key)
        return None if entry is None or entry[0] < self._clock() - WAIT_SECONDS else entry[1]

    def put(self, key: K, value: T) -> None:
        now = self._clock()
        self._entries.pop(key, None)
        self._entries[key] = (now, value)
        while len(self._entries) > self._entries_max or next(iter(self._entries.values()))[0] < now - WAIT_SECONDS:
            self._entries.popitem(last=False)
            if self._unjoined:
                EVENTS_IGNORED.labels("intake", "unjoined_log").inc()

    def pop(self, key: K) -> T | None:
        value = self.get(key)
        self._entries.pop(key, None)
        return value
