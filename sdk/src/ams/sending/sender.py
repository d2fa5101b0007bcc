"""The background thread: reads the queue, makes events, sends them in order, and retries until they are acknowledged."""

import contextlib
import random
import sys
import threading
from collections import deque
from time import monotonic, sleep

from ams.sending.assemble import Assembler, Encoded
from ams.sending.backlog import Backlog, Replay, producer_of
from ams.sending.requests import body_of, next_chunk
from ams.sending.tail_sampling import TailSampler
from ams.sending.termination import leave_signals_to_other_threads, repeat_missed_signal
from ams.sending.transport import THREAD_NAME, Delivered, Later, Malformed, Outcome, Refused, TooLarge, Transport
from ams.settings import SdkSettings
from ams.spool.segments import Segment
from ams.tracing.event_queue import EventQueue
from ams.tracing.records import StepRecord
from ams.tracing.runtime import logger, runtime
from ams_contracts.native import REQUEST_EVENTS_MAX

ITEMS_AT_ONCE = 100  # then the agent's threads may run
REPORT_SECONDS = 1.0  # between two reports of what a task has lost
SPILL_SECONDS = 1.0  # without an answer; then events go to disk, where kill -9 does not reach them
_random = random.Random()  # noqa: S311 - jitter


class Mark:
    """Put into the queue by a flush; set when everything before it is settled."""

    __slots__ = ("reached",)

    def __init__(self) -> None:
        self.reached = threading.Event()


class SegmentEnd:
    """Put into the queue when the journal began a new segment: when it is settled, everything in the previous one is."""

    __slots__ = ("segment",)

    def __init__(self, segment: Segment) -> None:
        self.segment = segment


class Sender:
    """Runs in its own thread. Only ``wake``, the counts and ``failing`` are for other threads."""

    def __init__(
        self, settings: SdkSettings, queue: EventQueue, transport: Transport, *, instance_id: str, backlog: Backlog | None
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._transport = transport
        self._assembler = Assembler(instance_id)
        self._backlog = backlog
        self._pending: deque[Encoded | Mark | SegmentEnd] = deque()
        self._pending_bytes = 0
        self._events_at_once = REQUEST_EVENTS_MAX
        self.tail = TailSampler(settings) if settings.tail_sample_rate < 1 else None
        self.releasing = False  # the process ends: undecided tasks are sent
        self._attempts = 0
        self._not_before = 0.0
        self._next_beat = monotonic() + settings.heartbeat_seconds
        self._next_report = 0.0
        self._warned: set[str] = set()
        self._announced = not (settings.announce and settings.remote)
        self._producer = producer_of(instance_id)
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._stopped = False
        self.marks_waiting = 0
        self.sent = 0
        self.rejected = 0
        self.given_up = 0
        self.reasons: dict[str, int] = {}  # why events were refused or given up
        self.failing: str | None = None
        self._failing_since = 0.0
        self._spill_works = backlog is not None and backlog.journal is None
        self.adopting_until = 0.0  # a command waits for the segments of dead processes
        self.adopted_all = False
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

    def leave_after(self, seconds: float) -> None:
        """End the thread and leave the rest on disk. For signal handlers: takes no lock.

        Args:
            seconds: How long to wait for the thread; one that waits for an answer does not end, and does nothing else either.
        """
        self._stopping = True
        deadline = monotonic() + seconds
        while not self._stopped and monotonic() < deadline:
            sleep(seconds / 20)
        self.leave_rest_on_disk()

    @property
    def pending(self) -> int:
        """Events that are not settled, at least."""
        return max(0, len(self._queue.items) + len(self._pending) - self.marks_waiting)

    @property
    def spooled(self) -> int:
        """Events of this process that are on disk only."""
        return self._backlog.spooled if self._backlog is not None else 0

    def open_steps(self) -> list[StepRecord]:
        """Steps that have no end yet. None while the thread has not stopped, because they are its own until then."""
        return self._assembler.open_steps() if self._stopped else []

    def undelivered_steps(self) -> int:
        """Steps of which at least one event is not settled. For the end of the process, when the thread has stopped."""
        waiting = {item.id for item in list(self._queue.items) if isinstance(item, StepRecord)}
        spooled = self._backlog.undelivered_steps() if self._backlog is not None else set[int]()
        return len(waiting | spooled | {event.step_id for event in list(self._pending) if isinstance(event, Encoded) and event.step_id})

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
        self._stopped = True
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
        while not self._stopping and monotonic() >= self._not_before and self._send_once():
            if not self._stopping:
                self._drain()
        self._tend_spool()
        kept = self.failing is not None and self._backlog is not None and self._backlog.journal is not None
        self.terminated = self.terminating and (kept or (not self._pending and not self._queue.items))

    def _drain(self) -> None:
        """Make events from the queue, within the memory limit."""
        items = self._queue.items
        taken = 0
        if self.failing is not None and not self._spill_works:
            self._queue.slows = False
        if self._has_room():
            self._queue.waiting_bytes = 0  # everything in the queue is read below; later items are counted from zero
        while items and self._has_room():
            item = items.popleft()
            if isinstance(item, SegmentEnd):
                self._enqueue(self._assembler.finish_round())
                self._pending.append(item)
                continue
            if isinstance(item, Mark):
                self._assembler.add_missed_ends()
                self._report_losses(at_once=True)
                self._enqueue(self._assembler.finish_round())
                self._pending.append(item)
                continue
            try:
                if self.tail is not None:
                    self.tail.note(item)
                self._assembler.add(item)
            except Exception:  # noqa: BLE001 - one bad item must not affect its neighbours
                self.given_up += 1
                runtime.report_bug("a step's event")
            taken += 1
            if taken % ITEMS_AT_ONCE == 0:
                self._enqueue(self._assembler.finish_round())
                sleep(0)
        if taken and (self.failing is None or self._spill_works):
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
        if self._backlog is not None and self._backlog.lost:
            lost, total = dict(self._backlog.lost), self._backlog.lost.total()
            self._backlog.lost.clear()
            self.given_up += total
            self._count("spool_full", total)
            for task_id, count in lost.items():
                if task_id:
                    self._assembler.count_spool_loss(task_id, count)
            self._warn("spool full", f"AMS: the spool is full: its {total} oldest events were dropped. spool_bytes_max is its size.")
        if lossy:
            self._assembler.report_losses(lossy.values())
            lossy.clear()
            self._enqueue(self._assembler.finish_round())

    def _count(self, reason: str, count: int = 1) -> None:
        self.reasons[reason] = self.reasons.get(reason, 0) + count

    def _refuse(self, event: Encoded, reason: str) -> None:
        self._count(reason)
        if event.task is not None:
            event.task.refused[reason] = event.task.refused.get(reason, 0) + 1
            self._assembler.lossy[event.task.id] = event.task

    def _has_room(self) -> bool:
        return self._pending_bytes < self._settings.waiting_bytes_max and len(self._pending) < 2 * self._settings.waiting_items_max

    def _enqueue(self, events: list[Encoded]) -> None:
        if self.tail is not None:
            events = self.tail.sift(events, release=self.releasing or self.terminating)
        self._pending.extend(events)
        self._pending_bytes += sum(len(event.data) for event in events)

    def _send_once(self) -> bool:
        """Send the oldest events; those on disk are older than those in memory, and those of dead processes are the last.

        Returns:
            False when there is nothing to send.
        """
        replay = self._backlog.own() if self._backlog is not None else None
        if replay is None:
            self._settle_marks()
            if not self._pending and self._backlog is not None:
                replay = self._backlog.adopted(at_once=monotonic() < self.adopting_until)
                self.adopted_all = replay is None
        chunk = next_chunk(self._pending if replay is None else replay.events, self._events_at_once)
        if not chunk:
            return False
        self._settle(chunk, self._transport.post(body_of(chunk, self._producer if replay is None else replay.producer)), replay)
        return True

    def _settle_marks(self) -> None:
        while self._pending and not isinstance(self._pending[0], Encoded):
            mark = self._pending.popleft()
            self.marks_waiting -= 1
            if isinstance(mark, Mark):
                mark.reached.set()
            elif isinstance(mark, SegmentEnd) and self._backlog is not None:
                self._backlog.end_journal(mark.segment)

    def _tend_spool(self) -> None:
        """Move events to disk while the server does not answer, and begin a new segment of the journal."""
        backlog = self._backlog
        if backlog is None:
            return
        if backlog.journal is not None:
            undecided = self.tail is not None and self.tail.waiting_bytes
            previous = backlog.rotate_journal(settled=not (self._pending or self._queue.items or undecided))
            if previous is not None:
                self.marks_waiting += 1
                self._queue.put_anyway(SegmentEnd(previous))
        elif self._must_spill():
            self._spill()
        if backlog.damaged:
            self._warn("damaged", f"AMS: {backlog.damaged} places of the spool are damaged and were skipped; the rest of it is sent.")

    def _must_spill(self) -> bool:
        if self.failing is None or self.refused:
            return False
        return self.terminating or monotonic() - self._failing_since > SPILL_SECONDS or not self._has_room()

    def _spill(self) -> None:
        """Move all events of the memory to disk, as far as there is room; marks stay."""
        if self._backlog is None:
            return
        events = [event for event in self._pending if isinstance(event, Encoded)]
        count = self._backlog.spill(events)
        self._spill_works = count == len(events)
        written = {id(event) for event in events[:count]}
        kept = [item for item in self._pending if id(item) not in written]
        self._pending.clear()
        self._pending.extend(kept)
        self._pending_bytes = sum(len(event.data) for event in kept if isinstance(event, Encoded))

    def leave_rest_on_disk(self) -> None:
        """Write what was not delivered to the spool. For the end of the process: the thread has stopped, or waits for an answer."""
        backlog = self._backlog
        if backlog is None:
            return
        self._settle_marks()
        while self._queue.items and backlog.journal is None:
            item = self._queue.items.popleft()
            if not isinstance(item, Mark | SegmentEnd):
                with contextlib.suppress(Exception):  # one bad item must not affect its neighbours
                    self._assembler.add(item)
        if backlog.journal is None:
            self._enqueue(self._assembler.finish_round())
            self._spill()
        backlog.close(settled=not self._pending and not self._queue.items)

    def _settle(self, chunk: list[Encoded], outcome: Outcome, replay: Replay | None) -> None:
        match outcome:
            case Delivered(answer):
                self._done(chunk, replay)
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
                self._done(chunk, replay)
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

    def _done(self, chunk: list[Encoded], replay: Replay | None) -> None:
        if replay is not None:
            replay.done(len(chunk))
            return
        for event in chunk:
            self._pending.popleft()
            self._pending_bytes -= len(event.data)

    def _recover(self, chunk: list[Encoded]) -> None:
        self._attempts = 0
        self.failing = None
        self.refused = False
        self._warned -= {"unreachable", "refused"}
        self._events_at_once = min(REQUEST_EVENTS_MAX, self._events_at_once * 2)
        task_id = next((event.task_id for event in chunk if event.task is not None), None)  # not of another process
        if not self._announced and task_id is not None:
            self._announced = True
            with contextlib.suppress(Exception):  # stderr may be closed or missing
                print(f"AMS: {self._settings.endpoint}/t/{task_id}", file=sys.stderr, flush=True)  # noqa: T201 - for the person at the terminal

    def _back_off(self, reason: str, after_seconds: float | None) -> None:
        self._attempts += 1
        if self.failing is None:
            self._failing_since = monotonic()
        self.failing = reason
        limit = min(self._settings.backoff_max_seconds, self._settings.backoff_first_seconds * 2 ** min(self._attempts - 1, 16))
        self._not_before = monotonic() + (after_seconds if after_seconds is not None else _random.uniform(limit / 2, limit))

    def _warn(self, topic: str, text: str, *, after: int = 0) -> None:
        if topic not in self._warned and self._attempts >= after:
            self._warned.add(topic)
            logger.warning("%s", text)
