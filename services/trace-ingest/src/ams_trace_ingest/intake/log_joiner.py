"""Spans and log records of one step meet here, whichever arrives first.

An exporter of logs and one of spans send on their own schedules, some seconds apart. What a log record says about previews, finish reasons and
failures belongs into the step's document, and a document is published whole. So intake remembers for an hour the documents that a record may
complete, and the records whose span has not arrived, and publishes the completed document as one more event of the step.

The documents are those of one process. With several replicas, a record may arrive at another one than its span: what it says is offered to all of
them (``log_exchange``, ADR 0037), and the one that has the document completes it.
"""

import hashlib
import time
from collections import OrderedDict, deque
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
NEWS_MAX = 5_000  # that are not sent yet

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


class LogNews(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one replica sends to the others about one step or one response.

    Attributes:
        project_id: From the credential.
        task_id: Of the step; null: of a response.
        step_id: Of the step.
        response_id: Of the response.
        logs: What records say about the step. Null, as no record: what the others remember of it is not needed any more.
        joined: A replica has completed the step with them; another one that has its document too completes it as well.
        record: It waits for the response.
    """

    project_id: str
    task_id: str | None = None
    step_id: str = ""
    response_id: str = ""
    logs: StepLogs | None = None
    joined: bool = False
    record: LogRecord | None = None


class LogJoiner:
    """The steps and records of all projects that may still meet. Safe to call from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._documents: _Expiring[StepKey, tuple[StepRecorded | StepStarted, int]] = _Expiring(STEPS_MAX, clock)
        self._full: _Expiring[StepKey, StepKey] = _Expiring(STEPS_MAX, clock)  # steps that lack nothing: their records need not wait
        self._responses: _Expiring[tuple[str, str], tuple[str, str]] = _Expiring(STEPS_MAX, clock)
        self._waiting: _Expiring[StepKey, StepLogs] = _Expiring(WAITING_MAX, clock)
        self._waiting_for_response: _Expiring[tuple[str, str], list[LogRecord]] = _Expiring(WAITING_MAX, clock)
        self._news: deque[LogNews] = deque(maxlen=NEWS_MAX)
        self._lock = Lock()

    def take_news(self, limit: int) -> list[LogNews]:
        """Remove and return the oldest news for the other replicas."""
        with self._lock:
            return [self._news.popleft() for _ in range(min(limit, len(self._news)))]

    def return_news(self, news: Sequence[LogNews]) -> None:
        """They could not be sent, and are the oldest again; without room, the newer ones are lost."""
        with self._lock:
            self._news.extendleft(reversed(news))

    def receive(self, news: LogNews, *, received_at_us: int) -> Additions:
        """What another replica received: complete the step if its document is here, else remember it."""
        additions = Additions([], [])
        with self._lock:
            if news.task_id is not None:
                self._receive_step((news.project_id, news.task_id, news.step_id), news, additions)
            elif news.record is not None:
                self._receive_record((news.project_id, news.response_id), news.record, received_at_us, additions)
            else:
                self._waiting_for_response.pop((news.project_id, news.response_id))
        return additions

    def _receive_step(self, key: StepKey, news: LogNews, additions: Additions) -> None:
        if news.logs is None:
            self._waiting.pop(key)
        elif self._has_span(key):
            self._complete(key, news.logs, additions)
            if not news.joined:
                self._news.append(LogNews(project_id=key[0], task_id=key[1], step_id=key[2]))
        elif not news.joined:
            self._waiting.put(key, together(self._waiting.pop(key), news.logs), unjoined=False)

    def _receive_record(self, key: tuple[str, str], record: LogRecord, received_at_us: int, additions: Additions) -> None:
        place = self._responses.get(key)
        if place is None:
            self._wait_for_response(key, record, unjoined=False)
        else:
            self._join(key[0], [_placed(record, (key[0], *place))], received_at_us, additions)
            self._news.append(LogNews(project_id=key[0], response_id=key[1]))

    def add_spans(self, project_id: str, items: Iterable[MappedSpan], *, received_at_us: int) -> Additions:
        """Remember spans, and complete those whose records arrived before them."""
        additions = Additions([], [])
        with self._lock:
            for item in items:
                document = item.event.step
                key = (project_id, item.task_id, item.event.step_id)
                if may_gain(document):
                    self._documents.put(key, (item.event, 0))
                else:
                    self._full.put(key, key)
                if document.response_id is not None:
                    self._responses.put((project_id, document.response_id), (item.task_id, item.event.step_id))
                    records = self._waiting_for_response.pop((project_id, document.response_id))
                    if records:
                        self._news.append(LogNews(project_id=project_id, response_id=document.response_id))
                        self._join(project_id, [_placed(record, key) for record in records], received_at_us, additions)
                logs = self._waiting.pop(key)
                if logs is not None:
                    self._news.append(LogNews(project_id=key[0], task_id=key[1], step_id=key[2]))
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
                    self._wait_for_response((project_id, response_id), record, unjoined=True)
                    self._news.append(LogNews(project_id=project_id, response_id=response_id, record=record))
        return LogOutcome(additions, ignored, refused)

    def _wait_for_response(self, key: tuple[str, str], record: LogRecord, *, unjoined: bool) -> None:
        waiting = self._waiting_for_response.get(key) or []
        self._waiting_for_response.put(key, [*waiting, record][-RECORDS_OF_RESPONSE_MAX:], unjoined=unjoined)

    def _join(
        self, project_id: str, records: Sequence[LogRecord], received_at_us: int, additions: Additions
    ) -> tuple[int, list[LogRecord]]:
        mapped = map_logs(project_id, records, received_at_us=received_at_us)
        additions.payloads += mapped.payloads
        additions.steps += mapped.scores
        for (task_id, step_id), logs in mapped.steps.items():
            key = (project_id, task_id, step_id)
            joined = self._has_span(key)
            self._news.append(LogNews(project_id=project_id, task_id=task_id, step_id=step_id, logs=logs, joined=joined))
            if joined:
                self._complete(key, logs, additions)
            else:
                self._waiting.put(key, together(self._waiting.pop(key), logs), unjoined=True)
        return mapped.ignored, mapped.unplaced

    def _has_span(self, key: StepKey) -> bool:
        return self._documents.get(key) is not None or self._full.get(key) is not None

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


K = TypeVar("K", bound=tuple[str, ...])


class _Expiring(Generic[K, T]):
    """A map that forgets the oldest entries, by number and by age. The first part of a key is the project.

    When it is full, a project with more than its share loses its own oldest entry, so that one that sends a lot does not push out the others.
    """

    def __init__(self, entries_max: int, clock: Callable[[], float]) -> None:
        self._entries: OrderedDict[K, tuple[float, T, bool]] = OrderedDict()
        self._of_project: dict[str, OrderedDict[K, None]] = {}
        self._entries_max = entries_max
        self._clock = clock

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> T | None:
        entry = self._entries.get(key)
        return None if entry is None or entry[0] < self._clock() - WAIT_SECONDS else entry[1]

    def put(self, key: K, value: T, *, unjoined: bool = False) -> None:
        """Remember a value. ``unjoined``: it is a record of this process, which is counted if it is forgotten before it is taken."""
        now = self._clock()
        self._remove(key)
        own = self._of_project.setdefault(key[0], OrderedDict())
        self._entries[key] = (now, value, unjoined)
        own[key] = None
        while len(self._entries) > self._entries_max:
            above_share = len(own) * len(self._of_project) > self._entries_max
            self._forget(next(iter(own if above_share else self._entries)))
        while self._entries[oldest := next(iter(self._entries))][0] < now - WAIT_SECONDS:
            self._forget(oldest)

    def pop(self, key: K) -> T | None:
        value = self.get(key)
        self._remove(key)
        return value

    def _remove(self, key: K) -> tuple[float, T, bool] | None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            own = self._of_project[key[0]]
            del own[key]
            if not own:
                del self._of_project[key[0]]
        return entry

    def _forget(self, key: K) -> None:
        entry = self._remove(key)
        if entry is not None and entry[2]:
            EVENTS_IGNORED.labels("intake", "unjoined_log").inc()
