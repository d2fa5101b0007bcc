"""What a decorator or a ``with`` asks for: the same options serves every call."""

import inspect
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from ams.tracing.capture import capture
from ams.tracing.records import AgentRecord, StepRecord, TaskRecord
from ams.tracing.runtime import PAYLOAD_BYTES_MAX, runtime
from ams_contracts.documents import StepType

TYPES = frozenset(StepType)


class StepOptions:
    """The name, type and capture settings of a step."""

    __slots__ = (
        "about",
        "agent",
        "capture",
        "capture_input",
        "capture_output",
        "details",
        "input",
        "model",
        "name",
        "plain",
        "registration",
        "type",
    )

    def __init__(
        self,
        name: str | None,
        step_type: str,
        *,
        model: str | None = None,
        agent: str | None = None,
        input: object = None,  # noqa: A002 - the contract's word
        capture_input: bool | None = None,
        capture_output: bool | None = None,
        capture: str | None = None,
        registration: AgentRecord | None = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        is_known = step_type in TYPES
        self.type = str(step_type) if is_known else str(StepType.SPAN)
        self.details: dict[str, object] | None = None if is_known else {"type_raw": str(step_type)}
        self.model = model
        self.agent = agent
        self.input = input
        contents = None if capture is None else capture == "all"
        self.capture = capture
        self.capture_input = capture_input if capture_input is not None else contents
        self.capture_output = capture_output if capture_output is not None else contents
        self.registration = registration
        self.about = about  # fields of the task that it starts; None: it starts no task
        # written out: `all` with a generator costs a `with` 0.6 us
        self.plain = (
            is_known and model is None and agent is None and input is None and registration is None
            and capture_input is None and capture_output is None and capture is None
        )  # fmt: skip

    def named(self, name: str) -> "StepOptions":
        """The same options with another name."""
        other = copy(self)
        other.name = name
        return other

    def apply(self, record: StepRecord) -> None:
        """Copy the options into a step that is about to start."""
        if self.plain:
            return
        record.model = self.model
        record.agent = self.agent
        record.capture_input = self.capture_input
        record.capture_output = self.capture_output
        record.metadata_only = self.capture == "metadata" if self.capture is not None else None
        if self.details is not None:
            record.details = dict(self.details)
        if self.input is not None and self.wants_input:
            record.input = capture(self.input)
        if self.registration is not None:
            register(self.registration)

    def task(self, record: StepRecord) -> TaskRecord | None:
        """The task that starts with this step, if it starts one."""
        if self.about is None:
            return None
        task = TaskRecord(record.name)
        describe(task, self.about)
        return task

    @property
    def wants_input(self) -> bool:
        return runtime.capture_input if self.capture_input is None else self.capture_input

    @property
    def wants_output(self) -> bool:
        return runtime.capture_output if self.capture_output is None else self.capture_output


def describe(task: TaskRecord, about: Mapping[str, object]) -> None:
    """Set fields of a task."""
    for name, value in about.items():
        if name == "tags" and isinstance(value, Mapping):
            task.tags = {**task.tags, **{str(key): str(item) for key, item in value.items()}}
        elif value is not None and name != "tags":
            setattr(task, name, str(value))


def register(agent: AgentRecord) -> None:
    """Register an agent, once per process."""
    if runtime.queue is not None and agent.name not in runtime.agents:
        runtime.agents.add(agent.name)
        runtime.queue.put_kept(agent)


class Arguments:
    """The arguments of one function by their names, without ``self`` and ``cls``."""

    __slots__ = ("_defaults", "_first", "_is_llm", "_names", "_plain", "_rest")

    def __init__(self, function: Callable[..., Any], *, is_llm: bool) -> None:
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # some functions of C
            parameters = []
        names = [p.name for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
        self._first = 1 if names[:1] in (["self"], ["cls"]) else 0
        self._names = tuple(names[self._first :])
        self._rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "args")
        self._is_llm = is_llm
        self._defaults = {p.name: p.default for p in parameters if p.default is not p.empty and p.default is not None}
        self._plain = bool(self._names) and not self._defaults and not is_llm

    @property
    def has_defaults(self) -> bool:
        """Whether a call without arguments still has values."""
        return bool(self._defaults)

    def take(self, record: StepRecord, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: C901 - the cases of a call
        """Make them the input of a step."""
        if self._first:
            args = args[1:]
        names = self._names
        if len(args) == 1 and self._plain and not kwargs:  # the usual call
            record.input = capture({names[0]: _shortened(args[0])})
            return
        values: dict[str, Any] = dict(zip(names, args, strict=False))
        if len(args) > len(names):
            values[self._rest] = args[len(names) :]
        if kwargs:
            values.update(kwargs)
        if self._defaults:
            values.update((name, value) for name, value in self._defaults.items() if name not in values)
        if not values:
            return
        for value in values.values():
            if value.__class__ is str and len(value) > PAYLOAD_BYTES_MAX:
                values = {name: _shortened(item) for name, item in values.items()}
                break
        if self._is_llm and isinstance(values.get("model"), str):
            record.details = {**(record.details or {}), "model_requested": values["model"]}
        if self._is_llm and isinstance(values.get("messages"), list):
            self._take_conversation(record, values)
        else:
            record.input = capture(values)

    @staticmethod
    def _take_conversation(record: StepRecord, values: dict[str, Any]) -> None:
        record.input = capture(values.pop("messages"))
        details = dict(record.details or {})
        if "model_requested" in details:
            values.pop("model", None)
        if values:
            details["parameters"] = capture(values)
        record.details = details


def _shortened(value: object) -> object:
    """Encoding 100 MB would delay the agent, and all but the beginning is truncated anyway."""
    return value[: PAYLOAD_BYTES_MAX + 1] if value.__class__ is str and len(value) > PAYLOAD_BYTES_MAX else value  # type: ignore[arg-type,index]  # its class was checked
