"""Transports without a server: a file, the terminal, and memory."""

import os
import sys
import threading
from collections import deque
from datetime import UTC, datetime

import msgspec

from ams.sending.transport import Delivered, Later, Malformed, Outcome
from ams.settings import SdkSettings
from ams_contracts.documents import StepDocument
from ams_contracts.events import Event, StepEnded, StepRecorded
from ams_contracts.native import NativeAnswer, NativeRequest, RawNativeRequest

MEMORY_EVENTS_MAX = 100_000
_request = msgspec.json.Decoder(NativeRequest)
_raw_request = msgspec.json.Decoder(RawNativeRequest)


class FileTransport:
    """Appends each request as a line to a file of mode 600. A line is the body of ``POST /v1/batches``, so that it can be sent later."""

    def __init__(self, settings: SdkSettings) -> None:
        self._path = settings.transport_file
        self._file: int | None = None

    def post(self, body: bytes) -> Outcome:
        try:
            events = _count(body)
        except msgspec.DecodeError as error:
            return Malformed(str(error))
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            before = os.fstat(self._file).st_size
            if os.write(self._file, body + b"\n") <= len(body):  # the disk is full: half of a line must not stay
                os.ftruncate(self._file, before)
                return Later(f"no space for {self._path}")
        except OSError as error:
            return Later(f"{self._path}: {error.strerror}")
        return Delivered(NativeAnswer(accepted=events))

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class ConsoleTransport:
    """Prints a line to stderr for each step that ended: time, status, type, name, duration, tokens, error. No contents."""

    def __init__(self, settings: SdkSettings) -> None:
        del settings

    def post(self, body: bytes) -> Outcome:
        try:
            request = _request.decode(body)
        except msgspec.DecodeError as error:
            return Malformed(str(error))
        events = [event for batch in request.batches for event in batch.events]
        lines = [_line(event.step) for event in events if isinstance(event, StepEnded | StepRecorded)]
        try:
            if lines:
                print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201 - this is what the transport is for
        except (OSError, ValueError, AttributeError) as error:  # closed, full or missing
            return Later(f"stderr: {type(error).__name__}")
        return Delivered(NativeAnswer(accepted=len(events)))

    def close(self) -> None:
        pass


class MemoryTransport:
    """Keeps the newest events, for tests and notebooks."""

    def __init__(self, settings: SdkSettings | None = None, *, events_max: int = MEMORY_EVENTS_MAX) -> None:
        del settings
        self._lock = threading.Lock()
        self._events: deque[tuple[str | None, Event]] = deque(maxlen=events_max)
        self.forgotten = 0
        """Older events that left because there was no more room."""

    def post(self, body: bytes) -> Outcome:
        try:
            request = _request.decode(body)
        except msgspec.DecodeError as error:
            return Malformed(str(error))
        events = [(batch.task_id, event) for batch in request.batches for event in batch.events]
        with self._lock:
            self.forgotten += max(0, len(self._events) + len(events) - (self._events.maxlen or 0))
            self._events.extend(events)
        return Delivered(NativeAnswer(accepted=len(events)))

    def close(self) -> None:
        """The events stay readable."""

    def events(self) -> list[tuple[str | None, Event]]:
        """Task id and event, in order."""
        with self._lock:
            return list(self._events)


def _count(body: bytes) -> int:
    return sum(len(batch.events) for batch in _raw_request.decode(body).batches)


def _line(step: StepDocument) -> str:
    at = datetime.fromtimestamp((step.ended_at_us or step.started_at_us or 0) / 1e6, UTC).astimezone().strftime("%H:%M:%S")
    parts = [f"AMS {at} {step.status} {step.type} {_visible(step.name)} {(step.duration_us or 0) / 1000:.1f} ms"]
    if step.usage is not None:
        parts.append(f"{step.usage.input or 0}+{step.usage.output or 0} tokens")
    if step.error is not None:
        parts.append(_visible(f"{step.error.type or 'error'}: {step.error.message or ''}"[:200]))
    return " · ".join(parts)


def _visible(text: str) -> str:
    """Without control characters, which could move the cursor of the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
