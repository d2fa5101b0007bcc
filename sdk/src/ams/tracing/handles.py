"""What the agent's code holds: a step and a task, as context managers, decorators and things to write to.

No method raises, and none waits for the network. With tracing off they do nothing.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import time_ns
from types import TracebackType
from typing import Any, Self, TypeVar

from ams.tracing.capture import capture, words
from ams.tracing.context import current_record
from ams.tracing.decorators import decorate
from ams.tracing.records import RUNNING, WAITING, StepRecord
from ams.tracing.runtime import runtime
from ams.tracing.step_options import StepOptions, describe
from ams_contracts.documents import StepType, Usage

F = TypeVar("F", bound=Callable[..., Any])

DETAILS = frozenset(
    {
        "provider",
        "model_requested",
        "response_id",
        "finish_reason",
        "finish_reasons",
        "parameters",
        "tool_name",
        "tool_call_id",
        "attempts",
        "span_name",
    }
)
"""Names that ``Step.set`` puts into the step's document. Others are kept beside it as attributes."""
_NO_CONTENTS = DETAILS - {"parameters"}
TOKENS = frozenset(Usage.__struct_fields__) - {"service_tier"}


class Step:
    """One step. ``with ams.step("name", type="llm") as s:`` or ``@ams.step(type="llm")``; inside of a decorated function ``ams.current_step()``."""

    __slots__ = ("_options", "_record")

    def __init__(self, options: StepOptions, record: StepRecord | None = None) -> None:
        self._options = options
        self._record = record if record is not None else StepRecord(options.name or "step", options.type)

    # -- as a context manager and as a decorator

    def __enter__(self) -> Self:
        queue = runtime.queue
        if queue is not None and self._options.capture != "none":
            try:
                if self._record.id:  # the same object entered again: another step
                    self._record = StepRecord(self._options.name or "step", self._options.type)
                self._options.apply(self._record)
                self._record.open(queue, self._options.task(self._record))
            except Exception:  # noqa: BLE001 - a guest does not raise
                runtime.report_bug("the start of a step")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        record = self._record
        if record.id:
            try:
                if error is not None:
                    record.fail(error)
                else:
                    record.finish("error" if record.error_type is not None or record.error_message is not None else "ok")
            except Exception:  # noqa: BLE001 - a guest does not raise
                runtime.report_bug("the end of a step")

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Make every call of ``function`` a step like this one."""
        return decorate(function, self._options)

    def __bool__(self) -> bool:
        """Whether this step is traced."""
        return self._record.id != 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._record.name!r} {self._record.type} {self._record.status}>"

    # -- identity

    @property
    def step_id(self) -> str | None:
        """16 hex digits, None when it is not traced. It is also the W3C span id."""
        return self._record.step_id if self._record.id else None

    @property
    def task_id(self) -> str | None:
        """32 hex digits, None when it is not traced. It is also the W3C trace id."""
        return self._record.task.task_id if self._record.id else None

    @property
    def name(self) -> str:
        return self._record.name

    @property
    def type(self) -> str:
        return self._record.type

    @property
    def status(self) -> str:
        """running, waiting, ok, error or cancelled."""
        return self._record.status

    # -- content

    @property
    def input(self) -> object:
        """The input: text, any JSON value, or a list of messages. Reading returns the snapshot that was taken."""
        return self._record.input

    @input.setter  # noqa: A003 - the contract's word
    def input(self, value: object) -> None:
        if self._is_traced and self._options.wants_input:
            self._record.input = capture(value) if value is not None else None
            self._announce()

    @property
    def output(self) -> object:
        """The output, like ``input``. Streamed pieces (``delta``) become the output when nothing else is set."""
        return self._record.output

    @output.setter
    def output(self, value: object) -> None:
        if self._is_traced and self._options.wants_output:
            self._record.output = capture(value) if value is not None else None

    @property
    def model(self) -> str | None:
        """The model that answered; it decides the price."""
        return self._record.model

    @model.setter
    def model(self, value: str | None) -> None:
        self._record.model = str(value) if value is not None else None
        self._announce()

    def usage(self, *, input: int | None = None, output: int | None = None, **tokens: int | None) -> None:  # noqa: A002 - the contract's words
        """Tokens so far. ``input`` includes cached ones, ``output`` the reasoning.

        Args:
            input: All tokens of the prompt.
            output: All tokens of the answer.
            **tokens: cache_read, cache_write, cache_write_1h, reasoning, audio_input, audio_output, image_input, video_input.
        """
        said = {"input": input, "output": output, **tokens}
        known = {name: count for name, count in said.items() if name in TOKENS and isinstance(count, int) and count >= 0}
        self._record.usage = {**(self._record.usage or {}), **known}

    def cost(self, usd: float) -> None:
        """The cost of this step in US dollars as the provider reports it. Without it the platform computes the cost from model and tokens."""
        if isinstance(usd, int | float) and usd >= 0:
            self._record.cost_usd = float(usd)

    def set(self, **values: object) -> Self:
        """Set more fields. Known names (provider, response_id, finish_reason, tool_call_id, ...) set their fields, others are attributes."""
        for name, value in values.items():
            if name in {"input", "output", "model"}:
                setattr(self, name, value)
            elif self._record.without_contents and name not in _NO_CONTENTS:
                continue
            elif name == "parameters" and not isinstance(value, str | None):
                self._record.details = {**(self._record.details or {}), name: capture(value)}  # JSON, as readers expect
            elif name in DETAILS:
                self._record.details = {**(self._record.details or {}), name: value}
            elif value is not None:
                self._record.attributes = {**(self._record.attributes or {}), name: capture(value)}
        return self

    def delta(self, text: str) -> None:
        """Stream a piece of output. It shows immediately; all pieces together become the output."""
        if text and isinstance(text, str) and self._is_traced and self._options.wants_output:
            self._record.stream(text)

    def log(self, text: object, *, level: str = "info") -> None:
        """Add a log line, shown live with the step."""
        self._record.notify("log", text if isinstance(text, str) else words(text), level)

    def error(self, error: BaseException | str) -> None:
        """Mark the step as failed although no exception leaves it."""
        if isinstance(error, BaseException):
            self._record.record_error(error)
        else:
            self._record.error_type = self._record.error_type or ("error" if self._record.without_contents else None)
            self._record.error_message = str(error)[:4096] if not self._record.without_contents else None

    @contextmanager
    def waiting(self, reason: str | None = None) -> Generator[Self]:
        """``with s.waiting("for approval"):`` the step waits for a person while the block runs."""
        self.wait(reason)
        try:
            yield self
        finally:
            self.resume()

    def wait(self, reason: str | None = None) -> None:
        """Mark the step as waiting for a person, until ``resume()`` or its end."""
        if self._record.status is RUNNING:
            self._record.status = WAITING
            self._record.wait = (reason, time_ns() // 1000)
            self._record.notify("status")
            self._announce()
            if reason:
                self.log(f"waiting {reason}")

    def resume(self) -> None:
        """End the wait: the step is running again."""
        if self._record.status is WAITING:
            self._record.status = RUNNING
            self._record.wait = None
            self._record.notify("status")
            self._announce()

    @property
    def _is_traced(self) -> bool:
        """False while tracing is off: then nothing is captured."""
        return self._record.id != 0 or runtime.queue is not None

    def _announce(self) -> None:
        if self._record.phase == 1:  # its start was sent without this: send the document again, so that it shows before the end
            self._record.notify("document")


class Task(Step):
    """A task with its root step: ``with ams.task("Answer a letter", user_id="ada") as t:``. Everything inside belongs to it."""

    __slots__ = ()

    @property
    def url(self) -> str | None:
        """Its address in the explorer, None when it is not traced."""
        return f"{runtime.endpoint}/t/{self.task_id}" if self._record.id else None

    def set(self, **values: object) -> Self:
        """Set more fields: user_id, conversation_id, environment, kind, agent and tags are the task's, others its root step's."""
        if self._record.id:
            describe(self._record.task, {name: values.pop(name) for name in ABOUT & values.keys()})
            self._announce()
        return super().set(**values)


ABOUT = frozenset({"kind", "agent", "user_id", "conversation_id", "environment", "tags"})


def current_step() -> Step:
    """The innermost step around the caller. Outside of any step, a falsy step that does nothing, so that no ``None`` check is needed."""
    record = current_record()
    if record is None:
        return Step(StepOptions("none", StepType.SPAN))
    return Step(StepOptions(record.name, record.type, capture_input=record.capture_input, capture_output=record.capture_output), record)
