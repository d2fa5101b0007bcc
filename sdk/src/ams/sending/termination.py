"""SIGTERM: the process sends what it traced before it ends, and no signal is lost because Python handles it.

A handler in Python runs in the main thread, between two bytecodes. That loses signals which the default action would not lose:

- One that reaches a forked child before the interpreter's own work after the fork, which discards pending signals. So the signal is blocked
  around a fork, and arrives when the child is ready.
- One that arrives while the main thread is about to wait in C, or that another thread receives: the handler runs after the wait, which may
  be never. A ``multiprocessing.Pool`` ends its workers while they are about to wait for the next task: with a handler and a second thread
  6 of 25 programs never ended beside a busy machine, with or without AMS. So in such workers the sender repeats the signal to the main
  thread, which interrupts the wait, until the handler runs.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

_READ_BYTES = 64

_masks = threading.local()
_before_exit: Callable[[], None] | None = None
_wakeup: tuple[int, int] | None = None  # read and write end of the pipe to which the interpreter writes the numbers of signals


def handle_sigterm(before_exit: Callable[[], None]) -> None:
    """Call a function before SIGTERM ends the process.

    Only where SIGTERM would end the process immediately: a handler of the agent stays, and leads to ``atexit``.

    Args:
        before_exit: Runs in the signal handler, so it must not take a lock or wait for one.
    """
    global _before_exit  # noqa: PLW0603 - a process has one handler of a signal
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) not in {signal.SIG_DFL, _on_sigterm}:
        return
    with contextlib.suppress(ValueError, OSError):
        signal.signal(signal.SIGTERM, _on_sigterm)
        _before_exit = before_exit
        if _is_worker():
            watch()


def _is_worker() -> bool:
    """Whether multiprocessing started this process. While a spawned child imports the program it has a name, but no parent yet."""
    return multiprocessing.parent_process() is not None or multiprocessing.current_process().name != "MainProcess"


def hook_forks() -> None:
    """Keep SIGTERM pending during forks. The child calls :func:`after_fork` itself, when it is ready for the signal."""
    os.register_at_fork(before=_before_fork, after_in_parent=after_fork)


def _before_fork() -> None:
    _masks.before_fork = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}) if _handled() else None


def after_fork() -> None:
    """Let a pending SIGTERM arrive."""
    mask = getattr(_masks, "before_fork", None)
    _masks.before_fork = None
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def watch() -> None:
    """Notice signals of which the main thread does not run the handler. For processes that multiprocessing ends by SIGTERM.

    Not in every process: asyncio and trio use the same wakeup of the interpreter, and trio warns when somebody else does.
    """
    global _wakeup  # noqa: PLW0603 - the interpreter has one wakeup
    if not _handled() or threading.current_thread() is not threading.main_thread():
        return
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    of_parent = _wakeup  # which reads the same pipe
    previous = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    if previous == -1 or (of_parent is not None and previous == of_parent[1]):
        _wakeup = (read, write)
    else:  # an event loop has it, and wakes the main thread by it
        signal.set_wakeup_fd(previous, warn_on_full_buffer=False)
        _close(read, write)
        _wakeup = None
    if of_parent is not None:
        _close(*of_parent)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):  # the program closed all descriptors
            os.close(descriptor)


def repeat_missed_signal() -> None:
    """Interrupt the main thread once when SIGTERM arrived and its handler has not ended the process. For the sender's thread, every round."""
    if _wakeup is None or not _handled():
        return
    try:
        numbers = os.read(_wakeup[0], _READ_BYTES)
    except OSError:  # nothing arrived, or the program closed all descriptors
        return
    main = threading.main_thread().ident
    if signal.SIGTERM in numbers and main is not None:
        signal.pthread_kill(main, signal.SIGTERM)  # writes to the pipe again, so the next round repeats it


def leave_signals_to_other_threads() -> None:
    """For the sender's thread: a signal that it received would not interrupt what the main thread waits for."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})


def _handled() -> bool:
    return signal.getsignal(signal.SIGTERM) is _on_sigterm


def _on_sigterm(number: int, _: FrameType | None) -> None:
    if _before_exit is not None:
        _before_exit()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
