"""The SDK's life in a process: begin, flush, fork, exit."""

import atexit
import contextlib
import multiprocessing.util
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, sleep
from types import FrameType
from typing import Any, NoReturn

from ams.sending.sender import Mark, Sender
from ams.sending.transport import HttpTransport, Transport
from ams.settings import SdkSettings
from ams.tracing.event_queue import EventQueue
from ams.tracing.runtime import logger, runtime

_SIGTERM_SECONDS = 2.0
_SIGTERM_POLL_SECONDS = 0.01
_exit_at_once = os._exit


@dataclass(frozen=True, slots=True)
class FlushResult:
    """Where the events of this process are, counted since ``ams.init``.

    Attributes:
        sent: In AMS's log for certain.
        pending: Not yet; they are still tried. Steps that are not made into events yet count as one.
        dropped: Gone: the queue was full, or they were not understood.
        rejected: Refused by AMS one by one.
        reason: Why sending does not succeed right now, None when it does.
    """

    sent: int
    pending: int
    dropped: int
    rejected: int
    reason: str | None = None

    @property
    def complete(self) -> bool:
        """Everything that was ever told has arrived."""
        return self.pending == 0 and self.dropped == 0 and self.rejected == 0


class Client:
    """EventQueue, sender and transport of this process. A forked child gets new ones; nothing of the parent is sent twice."""

    def __init__(self, settings: SdkSettings, make_transport: Callable[[SdkSettings], Transport] = HttpTransport) -> None:
        self._settings = settings
        self._make_transport = make_transport
        self._pid = os.getpid()
        self._closed = False
        self._undelivered_steps = 0
        self._build()

    def _build(self) -> None:
        self.sender: Sender | None = None
        self._starting = threading.Lock()
        self.queue = EventQueue(items_max=self._settings.waiting_items_max, bytes_max=self._settings.waiting_bytes_max, start=self._start)
        runtime.queue = self.queue
        runtime.agents.clear()

    def _start(self) -> None:
        """Begin to send; at the first item, so that a program that traces nothing has no thread."""
        with self._starting:
            if self.sender is None:
                self.sender = Sender(self._settings, self.queue, self._make_transport(self._settings))
                self.sender.start()

    def flush(self, timeout_seconds: float) -> FlushResult:
        """Wait until everything told before the call has arrived, or the time is over. Never raises."""
        sender = self.sender
        if sender is not None and not self._closed:
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
        if sender is None or self._closed or self._pid != os.getpid():
            return
        sender.terminating = True
        deadline = monotonic() + timeout_seconds
        while not sender.terminated and not sender.refused and monotonic() < deadline:
            sleep(_SIGTERM_POLL_SECONDS)

    def result(self) -> FlushResult:
        """The counts as they are now."""
        sender = self.sender
        if sender is None:
            return FlushResult(0, len(self.queue.items), self.queue.lost, 0)
        return FlushResult(sender.sent, sender.pending, self.queue.lost + sender.given_up, sender.rejected, sender.failing)

    def shutdown(self, timeout_seconds: float) -> FlushResult:
        """Flush, then end the thread. Steps that begin afterwards are not traced."""
        if self._closed:
            return self.result()
        if runtime.queue is self.queue:
            runtime.queue = None
        result = self.flush(timeout_seconds)
        self._closed = True
        if self.sender is not None:
            self.sender.stop()
            self._undelivered_steps = self.sender.undelivered_steps()
        self.queue.close()
        return result

    def after_fork(self) -> None:
        """In the child: the parent sends what it told; here everything begins anew, without a thread until it is needed."""
        self.queue.close()
        self._pid = os.getpid()
        if not self._closed:
            self._build()

    def at_exit(self) -> None:
        """Send what is left, within the budget."""
        if self._pid != os.getpid() or self._closed:
            return
        result = self.shutdown(self._settings.exit_seconds)
        if self._undelivered_steps:
            logger.warning(
                "AMS: %d steps were not delivered to %s (%s).",
                self._undelivered_steps,
                self._settings.endpoint,
                result.reason or f"{self._settings.exit_seconds:g} s were not enough",
            )


_current: Client | None = None


def current_client() -> Client | None:
    """The client of this process, None before ``ams.init``."""
    return _current


def install(client: Client | None, *, handle_sigterm: bool) -> None:
    """Make it the client of this process, and see it through forks, exit and SIGTERM."""
    global _current  # noqa: PLW0603 - one per process, as ams.init promises
    _current = client
    _hook_once()
    if handle_sigterm:
        _flush_at_sigterm()


_hooked = False


def _hook_once() -> None:
    global _hooked  # noqa: PLW0603 - hooks of the interpreter cannot be taken back
    if _hooked:
        return
    _hooked = True
    os.register_at_fork(after_in_child=_after_fork)
    atexit.register(_at_exit)
    # a child of multiprocessing leaves by os._exit, past atexit; and forgets what was registered before its start
    multiprocessing.util.register_after_fork(_at_exit, _finalize_in_child)


def _finalize_in_child(_: Any) -> None:
    multiprocessing.util.Finalize(None, _at_exit, exitpriority=0)


def _after_fork() -> None:
    if _current is not None:
        _current.after_fork()
        # forked workers (billiard, pools, os.fork) leave by os._exit, past atexit
        os._exit = _send_and_exit  # type: ignore[assignment]  # pyright wants NoReturn of the original


def _send_and_exit(status: int) -> NoReturn:
    with contextlib.suppress(BaseException):
        _at_exit()
    _exit_at_once(status)


def _at_exit() -> None:
    if _current is not None:
        _current.at_exit()


def _flush_at_sigterm() -> None:
    """Only where SIGTERM would end the process on the spot: a handler of the agent's own stays, and ends in ``atexit``."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        with contextlib.suppress(ValueError, OSError):
            signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(number: int, _: FrameType | None) -> None:
    if _current is not None:
        _current.terminate(_SIGTERM_SECONDS)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
