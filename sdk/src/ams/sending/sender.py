"""The background thread: reads the queue, makes events, sends them in order, and retries until they are acknowledged."""

import contextlib
import random
import socket
import sys
import threading
from collections import deque
from time import monotonic, sleep

import msgspec

from ams.sending.assemble import Assembler, Encoded
from ams.sending.termination import leave_signals_to_other_threads, repeat_missed_signal
from ams.sending.transport import THREAD_NAME, Delivered, Later, Malformed, Outcome, Refused, TooLarge, Transport
from ams.settings import SdkSettings
from ams.tracing.event_queue import EventQueue
from ams.tracing.records import StepRecord
from ams.tracing.runtime import logger, runtime
from ams.version import __version__
from ams_contracts.events import Producer
from ams_contracts.native import REQUEST_BATCHES_MAX, REQUEST_BYTES_MAX, REQUEST_EVENTS_MAX

ITEMS_AT_ONCE = 100  # then the agent's threads may run
REPORT_SECONDS = 1.0  # between two reports of what a task has lost
_ENVELOPE_BYTES = 1_000  # of one batch, an upper estimate
_random = random.Random()  # noqa: S311 - jitter


class Mark:
    """Put into the queue by a flush; set when everything before it is settled."""

    __slots__ = ("reached",)

    def __init__(self) -> None:
        self.reached = threading.Event()


class Sender:
    """Runs in its own thread. Only ``wake``, the counts and ``failing`` are for other threads."""

    def __init__(self, settings: SdkSettings, queue: EventQueue, transport: Transport) -> None:
        self._settings = settings
        self._queue = queue
        self._transport = transport
        self._assembler = Assembler()
        self._pending: deque[Encoded | Mark] = deque()
        self._pending_bytes = 0
        self._events_at_once = REQUEST_EVENTS_MAX
        self._attempts = 0
        self._not_before = 0.0
        self._next_beat = monotonic() + settings.heartbeat_seconds
        self._next_report = 0.0
        self._warned: set[str] = set()
        self._announced = not (settings.announce and settings.remote)
        self._producer = msgspec.json.encode(
            Producer(sdk="ams-python", version=__version__, instance_id=self._assembler.instance_id, host=socket.gethostname()[:256])
        )
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopping = False
        self.marks_waiting = 0
        self.sent = 0
        self.rejected = 0
        self.given_up = 0
        self.failing: str | None = None
        self.refused = False
        # between a signal handler and this thread: plain attributes, because the handler must not take a lock
        self.terminating = False
        self.terminated = False

    def start(self) -> None:
        """Start the thread; called by the first item of the queue."""
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Send now instead of at the end of the interval."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread after its current request; nothing more is sent."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1)

    @property
    def pending(self) -> int:
        """Events that are not settled, at least."""
        return max(0, len(self._queue.items) + len(self._pending) - self.marks_waiting)

    def undelivered_steps(self) -> int:
        """Steps of which at least one event is not settled. For the end of the process, when the thread has stopped."""
        waiting = {item.id for item in list(self._queue.items) if isinstance(item, StepRecord)}
        return len(waiting | {event.step_id for event in list(self._pending) if isinstance(event, Encoded) and event.step_id})

    def _run(self) -> None:
        leave_signals_to_other_threads()
        while not self._stopping:
            try:
                self._wake.wait(self._settings.flush_interval_seconds)
                self._wake.clear()
                if not self.terminating:
                    repeat_missed_signal()
                self._round()
            except Exception:  # noqa: BLE001 - no traceback of the SDK in the agent's terminal
                runtime.report_bug("the sender")
                sleep(self._settings.backoff_first_seconds)
        self._transport.close()

    def _round(self) -> None:
        self._drain()
        if self.terminating:
            self._assembler.cancel_open_steps("SIGTERM")
            self._enqueue(self._assembler.finish_round())
        self._report_losses()
        now = monotonic()
        if now >= self._next_beat:
            self._next_beat = now + self._settings.heartbeat_seconds
            if self.failing is None:  # heartbeats that wait for an unreachable server would only fill the memory
                self._assembler.beat()
                self._enqueue(self._assembler.finish_round())
        while self._pending and not self._stopping and monotonic() >= self._not_before:
            self._send_once()
            self._drain()
        self.terminated = self.terminating and not self._pending and not self._queue.items

    def _drain(self) -> None:
        """Make events from the queue, within the memory limit."""
        items = self._queue.items
        taken = 0
        if self.failing is not None:
            self._queue.slows = False
        if self._has_room():
            self._queue.waiting_bytes = 0  # everything in the queue is read below; later items are counted from zero
        while items and self._has_room():
            item = items.popleft()
            if isinstance(item, Mark):
                self._assembler.add_missed_ends()
                self._report_losses(at_once=True)
                self._enqueue(self._assembler.finish_round())
                self._pending.append(item)
                continue
            try:
                self._assembler.add(item)
            except Exception:  # noqa: BLE001 - one bad item must not affect its neighbours
                self.given_up += 1
                runtime.report_bug("a step's event")
            taken += 1
            if taken % ITEMS_AT_ONCE == 0:
                self._enqueue(self._assembler.finish_round())
                sleep(0)
        if taken and self.failing is None:
            self._queue.slows = True
        self._enqueue(self._assembler.finish_round())

    def _report_losses(self, *, at_once: bool = False) -> None:
        """Put what was lost into an event of its task, so that the task shows it, and into one warning.

        Args:
            at_once: Before the end of the second, and also while the server does not answer: a flush waits for it.
        """
        now = monotonic()
        if not at_once and (now < self._next_report or self.failing is not None):
            return
        self._next_report = now + REPORT_SECONDS
        lossy = self._assembler.lossy
        if self._queue.lossy:
            lossy.update(list(self._queue.lossy.items()))
            self._queue.lossy.clear()
            self._warn(
                "queue full",
                f"AMS: the queue of events is full: {self._queue.lost.value} were dropped so far. The tasks show how many they lack, "
                "ams.flush() returns the total. The program traces more than can be sent.",
            )
        if lossy:
            self._assembler.report_losses(lossy.values())
            lossy.clear()
            self._enqueue(self._assembler.finish_round())

    def _refuse(self, event: Encoded, reason: str) -> None:
        if event.task is not None:
            event.task.refused[reason] = event.task.refused.get(reason, 0) + 1
            self._assembler.lossy[event.task.id] = event.task

    def _has_room(self) -> bool:
        return self._pending_bytes < self._settings.waiting_bytes_max and len(self._pending) < 2 * self._settings.waiting_items_max

    def _enqueue(self, events: list[Encoded]) -> None:
        self._pending.extend(events)
        self._pending_bytes += sum(len(event.data) for event in events)

    def _send_once(self) -> None:
        while self._pending and isinstance(self._pending[0], Mark):
            self._pending.popleft().reached.set()  # type: ignore[union-attr]  # it is a Mark
            self.marks_waiting -= 1
        chunk = self._next_chunk()
        if chunk:
            self._settle(chunk, self._transport.post(self._body(chunk)))

    def _next_chunk(self) -> list[Encoded]:
        """The oldest events, up to the next mark, within the limits of a request."""
        chunk: list[Encoded] = []
        tasks: set[str | None] = set()
        size = _ENVELOPE_BYTES
        for event in self._pending:
            if isinstance(event, Mark) or len(chunk) >= self._events_at_once:
                break
            size += len(event.data) + 1 + (_ENVELOPE_BYTES if event.task_id not in tasks else 0)
            if chunk and (size > REQUEST_BYTES_MAX or (len(tasks) >= REQUEST_BATCHES_MAX and event.task_id not in tasks)):
                break
            tasks.add(event.task_id)
            chunk.append(event)
        return chunk

    def _body(self, chunk: list[Encoded]) -> bytes:
        batches: dict[str | None, list[bytes]] = {}
        for event in chunk:
            batches.setdefault(event.task_id, []).append(event.data)
        encoded = [
            b'{"task_id":%b,"producer":%b,"events":[%b]}'
            % (b"null" if task is None else b'"%b"' % task.encode(), self._producer, b",".join(events))
            for task, events in batches.items()
        ]
        return b'{"v":1,"batches":[%b]}' % b",".join(encoded)

    def _settle(self, chunk: list[Encoded], outcome: Outcome) -> None:
        match outcome:
            case Delivered(answer):
                self._done(chunk)
                self.sent += len(chunk) - len(answer.rejected)
                self.rejected += len(answer.rejected)
                codes_by_id = {event.event_id: event.code for event in answer.rejected}
                for event in chunk:
                    if event.event_id in codes_by_id:
                        self._refuse(event, codes_by_id[event.event_id])
                if answer.rejected:
                    codes = ", ".join(sorted({event.code for event in answer.rejected}))
                    self._warn("rejected", f"AMS refused {len(answer.rejected)} events ({codes}); the others were accepted.")
                self._recover(chunk)
            case TooLarge() | Malformed() if len(chunk) > 1:
                self._events_at_once = len(chunk) // 2  # until the bad event is alone
            case TooLarge() | Malformed():
                self._done(chunk)
                self.given_up += 1
                self._refuse(chunk[0], "too_large" if isinstance(outcome, TooLarge) else "malformed")
                self._not_before = monotonic() + self._settings.backoff_first_seconds
                self._warn("malformed", f"AMS could not read an event, which is dropped: {outcome}")
            case Later(reason, after_seconds):
                self._back_off(reason, after_seconds)
                self._warn(
                    "unreachable",
                    f"AMS cannot be reached at {self._settings.endpoint} ({reason}). The program continues; sending is retried.",
                    after=3,
                )
            case Refused(reason):
                self.refused = True
                self._back_off(reason, self._settings.refused_backoff_seconds)
                self._warn("refused", f"AMS: {reason} Nothing is traced until then.")

    def _done(self, chunk: list[Encoded]) -> None:
        for event in chunk:
            self._pending.popleft()
            self._pending_bytes -= len(event.data)

    def _recover(self, chunk: list[Encoded]) -> None:
        self._attempts = 0
        self.failing = None
        self.refused = False
        self._warned -= {"unreachable", "refused"}
        self._events_at_once = min(REQUEST_EVENTS_MAX, self._events_at_once * 2)
        task_id = next((event.task_id for event in chunk if event.task_id is not None), None)
        if not self._announced and task_id is not None:
            self._announced = True
            with contextlib.suppress(Exception):  # stderr may be closed or missing
                print(f"AMS: {self._settings.endpoint}/t/{task_id}", file=sys.stderr, flush=True)  # noqa: T201 - for the person at the terminal

    def _back_off(self, reason: str, after_seconds: float | None) -> None:
        self._attempts += 1
        self.failing = reason
        limit = min(self._settings.backoff_max_seconds, self._settings.backoff_first_seconds * 2 ** min(self._attempts - 1, 16))
        self._not_before = monotonic() + (after_seconds if after_seconds is not None else _random.uniform(limit / 2, limit))

    def _warn(self, topic: str, text: str, *, after: int = 0) -> None:
        if topic not in self._warned and self._attempts >= after:
            self._warned.add(topic)
            logger.warning("%s", text)
