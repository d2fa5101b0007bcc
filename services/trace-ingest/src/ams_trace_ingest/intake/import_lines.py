"""A part of an exported file -> records for the log: lines of an archive (``ams_contracts.archive``), or of OTLP/JSON. A bad line is refused alone."""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from ams_contracts.archive import PRODUCER_SDK, ArchiveEnd, ArchiveTask, RawArchiveEvents, read_archive_line
from ams_contracts.codec import MalformedError, decode
from ams_contracts.documents import StepDocument
from ams_contracts.events import Event, Producer
from ams_contracts.native import RawNativeBatch
from ams_contracts.topics import PAYLOADS, STEPS
from ams_kit.bus import Record
from ams_kit.telemetry.metrics import MASKED
from ams_trace_ingest.intake.log_joiner import LogJoiner
from ams_trace_ingest.intake.masking import mask_spans
from ams_trace_ingest.intake.native import take_events
from ams_trace_ingest.intake.otlp import Encoding, MalformedOtlpError, TooManySpansError, decode_traces
from ams_trace_ingest.intake.records import pack
from ams_trace_ingest.intake.span_records import pack_spans
from ams_trace_ingest.pricing.price import Prices

BODY_BYTES_MAX = 16 * 1024 * 1024
FAULTS_MAX = 100
TASKS_MAX = 1_000
WORD_CHARS_MAX = 256
_OF_JSON_LINES = frozenset({"step", "log", "score"})
_PRODUCER = Producer(sdk=PRODUCER_SDK, instance_id=PRODUCER_SDK)
_object = msgspec.json.Decoder(dict[str, Raw])


class ImportFault(Struct, frozen=True, kw_only=True):
    """What is wrong in a line. ``line`` counts from 1 within the request; ``event_id`` names the event when it is one of several of the line."""

    line: int
    event_id: str | None
    code: str
    detail: str


class ImportedLines(Struct, kw_only=True):
    """The result of a part of a file: its records, and what was refused.

    Attributes:
        payloads: Records of ``ams.payloads.v1``.
        steps: Records of ``ams.steps.v1``.
        lines: How many lines were read.
        accepted: How many events the records hold.
        rejected: How many lines, events and spans were refused.
        faults: The first of them.
        tasks: The tasks that the records belong to, at most 1,000, and the lines where they begin.
        ended: The last line of an archive is among the lines.
    """

    payloads: list[Record] = []
    steps: list[Record] = []
    lines: int = 0
    accepted: int = 0
    rejected: int = 0
    faults: list[ImportFault] = []
    tasks: dict[str, int] = {}
    ended: bool = False

    def add_fault(self, fault: ImportFault) -> None:
        """Count a fault, and keep it if it is one of the first."""
        self.rejected += 1
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(fault)


class LineImporter:
    """Reads the lines of one request."""

    def __init__(
        self,
        *,
        project_id: str,
        key_id: str,
        prices: Prices,
        logs: LogJoiner,
        received_at_us: int,
        copy_as: str | None = None,
        masking: bool = False,
    ) -> None:
        """Nothing is read yet.

        Args:
            project_id: From the credential, or the address.
            key_id: Of the credential, for the records' headers.
            prices: To compute what is not reported.
            logs: Completes spans whose log records arrived before them.
            received_at_us: For spans without times.
            copy_as: Tasks get other ids, which follow from this word and their own.
            masking: Whether secrets are masked, as everywhere at intake.
        """
        self._project_id = project_id
        self._key_id = key_id
        self._prices = prices
        self._logs = logs
        self._received_at_us = received_at_us
        self._copy_as = copy_as
        self._masking = masking
        self._events: dict[str, tuple[list[bytes], list[bytes]]] = {}
        self._result = ImportedLines()

    def read(self, body: bytes) -> ImportedLines:
        """Read all lines of the body."""
        for number, line in _lines(body):
            self._result.lines += 1
            try:
                self._read_line(number, line)
            except MalformedError as error:
                self._fault(number, error.code, error.detail)
            except (MalformedOtlpError, TooManySpansError) as error:
                self._fault(number, "malformed_otlp", str(error))
        for task_id, (payloads, steps) in self._events.items():
            self._result.payloads += pack(PAYLOADS, self._project_id, task_id, _PRODUCER, payloads, key_id=self._key_id)
            self._result.steps += pack(STEPS, self._project_id, task_id, _PRODUCER, steps, key_id=self._key_id)
        return self._result

    def _read_line(self, number: int, line: bytes) -> None:
        members = decode(_object, line, bytes_max=BODY_BYTES_MAX)
        if "resourceSpans" in members:
            self._read_spans(number, line)
            return
        if "kind" not in members:
            raise MalformedError("unknown_line", "This is neither a line of an archive (kind) nor of OTLP (resourceSpans).")
        kind = _word(members["kind"])
        if kind in _OF_JSON_LINES or (kind == "task" and "task" in members):
            raise MalformedError("not_an_archive", "This is the format jsonl, which cannot be imported. Export the task as ams.")
        if kind == "ams.archive" and bytes(members.get("v", b"")) != b"1":
            raise MalformedError("unsupported_version", "This server reads version 1 of the archive.")
        found = decode(read_archive_line, line, bytes_max=BODY_BYTES_MAX)
        if isinstance(found, RawArchiveEvents):
            self._read_events(number, found)
        elif isinstance(found, ArchiveEnd):
            self._result.ended = True
        elif isinstance(found, ArchiveTask):
            self._add_task(number, self._id_of(found.task_id))

    def _read_events(self, number: int, line: RawArchiveEvents) -> None:
        task_id = self._id_of(line.task_id)
        batch = RawNativeBatch(task_id=task_id, producer=_PRODUCER, events=line.events)
        taken = take_events(batch, self._prices, change=None if self._copy_as is None else self._copied, masking=self._masking)
        for event, detail in taken.rejected:
            self._fault(number, event.code, detail, event.event_id)
        if taken.payloads or taken.steps:
            payloads, steps = self._events.setdefault(task_id, ([], []))
            payloads += taken.payloads
            steps += taken.steps
            self._result.accepted += len(taken.payloads) + len(taken.steps)
            self._add_task(number, task_id)
        for _ in taken.agents:
            self._fault(number, "not_of_a_task", "A registered agent belongs to no task.")

    def _read_spans(self, number: int, line: bytes) -> None:
        if self._copy_as is not None:
            raise MalformedError("copy_unsupported", "Spans keep their trace ids: import them without making copies.")
        decoded = decode_traces(line, Encoding.JSON)
        if self._masking:
            MASKED.labels("import").inc(mask_spans(decoded.groups))
        packed = pack_spans(
            decoded,
            project_id=self._project_id,
            key_id=self._key_id,
            received_at_us=self._received_at_us,
            prices=self._prices,
            logs=self._logs,
        )
        self._result.payloads += packed.payloads
        self._result.steps += packed.steps
        self._result.accepted += packed.events
        for group in decoded.groups:
            for span in group.spans:
                self._add_task(number, span.trace_id)
        if decoded.rejected:
            self._result.rejected += decoded.rejected - 1
            self._fault(number, "bad_span", decoded.message)

    def _id_of(self, task_id: str) -> str:
        if self._copy_as is None:
            return task_id
        return hashlib.blake2b(task_id.encode(), digest_size=16, key=self._copy_as.encode()).hexdigest()

    def _copied(self, event: Event) -> Event:
        """The event of a copy. Its calls are others than the original's: with the same response id the project would count only one of them."""
        document = getattr(event, "step", None)
        if not isinstance(document, StepDocument) or (document.response_id is None and document.call_key is None):
            return event
        suffix = f"#{self._copy_as}"
        room = WORD_CHARS_MAX - len(suffix)
        response_id, call_key = (word and word[:room] + suffix for word in (document.response_id, document.call_key))
        changes: dict[str, Any] = {"step": replace(document, response_id=response_id, call_key=call_key)}
        return replace(event, **changes)

    def _add_task(self, line: int, task_id: str) -> None:
        if len(self._result.tasks) < TASKS_MAX:
            self._result.tasks.setdefault(task_id, line)

    def _fault(self, line: int, code: str, detail: str, event_id: str | None = None) -> None:
        self._result.add_fault(ImportFault(line=line, event_id=event_id, code=code, detail=detail))


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines with their numbers, without empty ones; a single document of OTLP that is spread over lines is one."""
    if b"\n" in body.strip() and _is_one_document(body):
        yield 1, body
        return
    for number, line in enumerate(body.split(b"\n"), 1):
        if line.strip():
            yield number, line


def _is_one_document(body: bytes) -> bool:
    first = body.strip().partition(b"\n")[0]
    try:
        decode(_object, first, bytes_max=BODY_BYTES_MAX)
    except MalformedError:
        try:
            return "resourceSpans" in decode(_object, body, bytes_max=BODY_BYTES_MAX)
        except MalformedError:
            return False
    return False


def _word(value: Raw) -> str | None:
    try:
        found = msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found if isinstance(found, str) else None
