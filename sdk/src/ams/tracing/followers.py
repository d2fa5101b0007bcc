"""Threads and processes that join the step in which they are started.

``follow_threads`` replaces ``Thread.start`` and ``ThreadPoolExecutor.submit``; what they start works inside the caller's step. Only
OpenTelemetry's context goes along: other context variables stay as Python keeps them. Processes that ``multiprocessing`` spawns, or has a fork
server start, get the step with the pickled process object; a forked one has it in its memory.
"""

import os
import threading
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from typing import Any

from opentelemetry.context import Context, attach, get_current

from ams.tracing.context import STATE_KEY, current_record
from ams.tracing.propagation import extract, inject
from ams.tracing.runtime import runtime

_OWN_THREADS = "ams-"
_patched: set[str] = set()


def follow_threads() -> None:
    """Let threads and pools join the current step from now on, while ``runtime.follow_threads`` is set."""
    if "threads" in _patched:
        return
    _patched.add("threads")
    start_thread = threading.Thread.start

    @wraps(start_thread)
    def start(self: threading.Thread) -> None:
        if runtime.follow_threads and current_record() is not None and not self.name.startswith(_OWN_THREADS):
            self.run = _within(get_current(), self.run)
        start_thread(self)

    threading.Thread.start = start
    pool: Any = import_module("concurrent.futures.thread").ThreadPoolExecutor  # imported only by programs that ask for this
    submit_call = pool.submit

    @wraps(submit_call)
    def submit(self: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        # also outside of any step: the worker may have been started inside of one
        return submit_call(self, _within(get_current(), function) if runtime.follow_threads else function, *args, **kwargs)

    pool.submit = submit


def _within(context: Context, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        outer = get_current()
        attach(context)
        try:
            return function(*args, **kwargs)
        finally:
            attach(outer)

    return run


class Joining:
    """An attribute of a process object. When the child unpickles it, the child's main thread joins the parent's step."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = dict(headers)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _join, (self.headers,)


def _join(headers: Mapping[str, str]) -> Joining:
    extract(headers).__enter__()  # until the end of the process
    return Joining(headers)


def follow_processes() -> None:
    """Let processes of ``multiprocessing`` join the step in which they are started."""
    if "processes" in _patched:
        return
    _patched.add("processes")
    base: Any = import_module("multiprocessing.process").BaseProcess
    start_process = base.start

    @wraps(start_process)
    def start(self: Any) -> None:
        try:
            if runtime.queue is not None and current_record() is not None:
                self._ams_joining = Joining(inject({}))
        except Exception:  # noqa: BLE001 - the SDK does not raise into the agent
            runtime.report_bug("the start of a process")
        start_process(self)

    base.start = start


def join_parent_of_environment() -> None:
    """Join the step that ``TRACEPARENT`` and ``TRACESTATE`` name, if a process with this SDK wrote them: other tools set them for purposes of their own."""
    if STATE_KEY + "=" in os.environ.get("TRACESTATE", "") and current_record() is None:
        extract({name.lower(): os.environ[name] for name in ("TRACEPARENT", "TRACESTATE", "BAGGAGE") if name in os.environ}).__enter__()
