"""The life cycle of the SDK in a process: start, flush, fork, exit."""

import atexit
import contextlib
import multiprocessing.util
import os
import threading
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any, NoReturn

from ams.sending import termination
from ams.sending.assemble import QUEUE_FULL
from ams.sending.backlog import Backlog
from ams.sending.flush_result import FlushResult
from ams.sending.sender import Mark, Sender
from ams.sending.transport import Transport
from ams.sending.transports import make_transport
from ams.settings import SdkSettings
from ams.tracing.event_queue import EventQueue
from ams.tracing.ids import bits
from ams.tracing.records import OpenSteps
from ams.tracing.runtime import logger, runtime

_SIGTERM_SECONDS = 2.0
_SIGTERM_POLL_SECONDS = 0.01
_exit_at_once = os._exit


class Client:
    """Queue, sender and transport of this process. A forked child gets new ones; nothing of the parent is sent twice."""

    def __init__(self, settings: SdkSettings, make_transport: Callable[[SdkSettings], Transport] = make_transport) -> None:
        self.settings = settings
        self._make_transport = make_transport
        self._pid = os.getpid()
        self.closed = False
        self._undelivered_steps = 0
        self._build()

    def _build(self) -> None:
        self.sender: Sender | None = None
        self._starting = threading.Lock()
        instance_id = f"{bits(128):032x}"
        self._instance_id = instance_id
        self._backlog = Backlog(self.settings, instance_id) if self.settings.spools else None
        self.queue = EventQueue(items_max=self.settings.waiting_items_max, bytes_max=self.settings.waiting_bytes_max, start=self._start)
        self.queue.journal = self._backlog.journal if self._backlog is not None else None
        runtime.queue = self.queue
        runtime.agents.clear()

    def _start(self) -> None:
        """Start sending; called by the first item, so that a program that traces nothing has no thread."""
        with self._starting:
            if self.sender is None:
                transport = self._make_transport(self.settings)
                self.sender = Sender(self.settings, self.queue, transport, instance_id=self._instance_id, backlog=self._backlog)
                self.sender.start()

    def flush(self, timeout_seconds: float) -> FlushResult:
        """Wait until all events from before the call have arrived, or the time is over. Never raises."""
        sender = self.sender
        if sender is not None and not self.closed:
            mark = Mark()
            sender.marks_waiting += 1
            self.queue.put_anyway(mark)
            deadline = monotonic() + timeout_seconds
            while not mark.reached.is_set() and not sender.refused and (left := deadline - monotonic()) > 0:
                sender.wake()
                mark.reached.wait(min(left, 0.25))
        return self.result()

    def terminate(self, timeout_seconds: float) -> None:
        """End open steps as cancelled and send everything, at most ``timeout_seconds``. For signal handlers.

        Takes no lock and waits on none: the interrupted code may hold any of them, that of an ``Event`` included. The sender polls a plain
        attribute, and so does this.
        """
        sender = self.sender
        if sender is None or self.closed or self._pid != os.getpid():
            return
        sender.terminating = True
        deadline = monotonic() + timeout_seconds
        while not sender.terminated and not sender.refused and monotonic() < deadline:
            sleep(_SIGTERM_POLL_SECONDS)
        if not sender.terminated:
            sender.leave_after(_SIGTERM_POLL_SECONDS * 20)

    def deliver_spool(self, timeout_seconds: float, *, other_keys: bool = False) -> int:
        """Send what dead processes left in the spool for this endpoint and key.

        Args:
            timeout_seconds: How long to wait at most.
            other_keys: Also what was written under other keys for this endpoint.

        Returns:
            How many events of them were read; ``flush`` says what became of them.
        """
        self._start()
        sender = self.sender
        if sender is None or self._backlog is None:
            return 0
        deadline = monotonic() + timeout_seconds
        self._backlog.other_keys = other_keys
        sender.adopted_all = False
        sender.adopting_until = deadline
        while not sender.adopted_all and not sender.refused and monotonic() < deadline:
            sender.wake()
            sleep(_SIGTERM_POLL_SECONDS)
        return self._backlog.adopted_events

    def result(self) -> FlushResult:
        """The current counts."""
        sender = self.sender
        lost = self.queue.lost.value
        if sender is None:
            return FlushResult(0, len(self.queue.items), lost, 0)
        return FlushResult(
            sent=sender.sent,
            pending=sender.pending,
            dropped=lost + sender.given_up,
            rejected=sender.rejected,
            reason=sender.failing,
            spooled=sender.spooled,
            undecided=sender.tail.undecided if sender.tail is not None else 0,
            sampled_out=sender.tail.left_out if sender.tail is not None else 0,
            reasons={**({QUEUE_FULL: lost} if lost else {}), **sender.reasons},
        )

    def shutdown(self, timeout_seconds: float) -> FlushResult:
        """Flush, then end the thread. Steps that start afterwards are not traced."""
        if self.closed:
            return self.result()
        if runtime.queue is self.queue:
            runtime.queue = None
        if self.sender is not None:
            self.sender.releasing = True
        result = self.flush(timeout_seconds)
        self.closed = True
        if self.sender is not None:
            self.sender.stop()
            self._undelivered_steps = self.sender.undelivered_steps()
            self.sender.leave_rest_on_disk()
            result = self.result()
        self.queue.close()
        return result

    def take_over(self, before: "Client") -> None:
        """Continue with the open steps of a client that was shut down: this one sends their heartbeats, updates and ends."""
        steps = before.sender.open_steps() if before.sender is not None else []
        if steps:
            self.queue.put_anyway(OpenSteps(steps))
        before.queue.successor = self.queue

    def after_fork(self) -> None:
        """In the child: the parent sends its own events; the child starts with an empty queue, and without a thread until it needs one."""
        self.queue.close()
        if self._backlog is not None:
            self._backlog.leave_to_parent()
        self._pid = os.getpid()
        if not self.closed:
            self._build()

    def at_exit(self) -> None:
        """Send the remaining events within the time limit."""
        if self._pid != os.getpid() or self.closed:
            return
        result = self.shutdown(self.settings.exit_seconds)
        if self._undelivered_steps or result.spooled:
            kept = result.pending == 0 or self.settings.spool == "always"
            logger.warning(
                "AMS: %d steps were not delivered to %s (%s).%s",
                self._undelivered_steps or result.spooled,
                self.settings.endpoint,
                result.reason or f"{self.settings.exit_seconds:g} s were not enough",
                " They are in the spool: the next program with this key sends them, or: ams flush"
                if kept and self._backlog is not None
                else "",
            )


_current: Client | None = None


def current_client() -> Client | None:
    """The client of this process, None before ``ams.init``."""
    return _current


def install(client: Client | None, *, handle_sigterm: bool) -> None:
    """Make it the client of this process, with hooks for forks, exit and SIGTERM."""
    global _current  # noqa: PLW0603 - one per process, as ams.init promises
    _current = client
    _hook_once()
    if handle_sigterm:
        termination.handle_sigterm(_terminate)


_hooked = False


def _hook_once() -> None:
    global _hooked  # noqa: PLW0603 - hooks of the interpreter cannot be removed
    if _hooked:
        return
    _hooked = True
    termination.hook_forks()
    os.register_at_fork(after_in_child=_after_fork)
    atexit.register(_at_exit)
    # a child of multiprocessing leaves by os._exit, which skips atexit, and drops what was registered before its start
    multiprocessing.util.register_after_fork(_at_exit, _finalize_in_child)


def _finalize_in_child(_: Any) -> None:
    multiprocessing.util.Finalize(None, _at_exit, exitpriority=0)
    termination.watch()


def _after_fork() -> None:
    if _current is not None:
        _current.after_fork()
        # forked workers (billiard, pools, os.fork) leave by os._exit, which skips atexit
        os._exit = _send_and_exit  # type: ignore[assignment]  # pyright wants NoReturn of the original
    termination.after_fork()


def _send_and_exit(status: int) -> NoReturn:
    with contextlib.suppress(BaseException):
        _at_exit()
    _exit_at_once(status)


def _at_exit() -> None:
    if _current is not None:
        _current.at_exit()


def _terminate() -> None:
    if _current is not None:
        _current.terminate(_SIGTERM_SECONDS)
