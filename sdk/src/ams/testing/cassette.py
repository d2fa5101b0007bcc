"""A recorded task as a file for tests: its model and tool calls, to be answered again without model and tools.

``ams cassette TASK -o tests/cassettes/otters.json`` writes one from a task of the platform.
"""

import builtins
import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ams.testing.fake_model import Failure, FakeModel, Reply, ToolCall
from ams.testing.steps import RecordedStep
from ams.tracing.kinds import tool as tool_step
from ams.tracing.messages import as_messages

VERSION = 1
SHOWN_MAX = 10
INPUT_CHARACTERS_MAX = 200


class CassetteError(Exception):
    """A file is no cassette of this version."""


class RecordedToolError(Exception):
    """A tool failed in the recording, with an exception that is none of Python's own."""


class RecordedFailure(Struct, frozen=True, kw_only=True):
    """Why a call failed."""

    type: str | None = None
    message: str = ""


class RecordedModelCall(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of a model.

    Attributes:
        step: The step's name.
        model: That answered.
        input: What it was asked; for people who read the file.
        text: What it said.
        tool_calls: What it called, each with ``name`` and ``arguments``.
        input_tokens: With the cached ones.
        cached_tokens: Of the input.
        output_tokens: As reported.
        failure: Why it failed.
    """

    step: str
    model: str | None = None
    input: Any = None
    text: str | None = None
    tool_calls: list[dict[str, Any]] = []
    input_tokens: int | None = None
    cached_tokens: int = 0
    output_tokens: int | None = None
    failure: RecordedFailure | None = None

    def turn(self) -> Reply | Failure:
        """The same as a turn of a script. A failure has status 400: clients repeat others by themselves, which the recorded call has done already."""
        if self.failure is not None:
            return Failure(400, self.failure.message or self.failure.type or "failed")
        calls = [ToolCall(str(call.get("name")), call.get("arguments") or {}) for call in self.tool_calls]
        return Reply(
            text=self.text,
            tool_calls=calls,
            input_tokens=self.input_tokens,
            cached_tokens=self.cached_tokens,
            output_tokens=self.output_tokens,
        )


class RecordedToolCall(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of a tool: its arguments, and what it returned or why it failed."""

    name: str
    input: Any = None
    output: Any = None
    failure: RecordedFailure | None = None


class CassetteFile(Struct, frozen=True, kw_only=True):
    """The content of the file. ``task_id`` and ``name`` say where it is from."""

    v: int = VERSION
    task_id: str
    name: str
    models: list[RecordedModelCall]
    tools: list[RecordedToolCall]


class Cassette:
    """Answers the calls of a recorded task.

    Attributes:
        model: Says what the models said, in the order of the recording.
    """

    def __init__(self, file: CassetteFile) -> None:
        self.model = FakeModel([call.turn() for call in file.models])
        self._tools = list(file.tools)
        self._left = list(file.tools)

    @classmethod
    def load(cls, path: str | Path) -> "Cassette":
        """The cassette of a file.

        Raises:
            OSError: It cannot be read.
            CassetteError: It is none.
        """
        try:
            file = msgspec.json.decode(Path(path).read_bytes(), type=CassetteFile)
        except msgspec.MsgspecError as error:
            raise CassetteError(f"{path} is no cassette: {error}") from error
        if file.v != VERSION:
            raise CassetteError(f"{path} has version {file.v}; this version of the SDK reads {VERSION}. Record it again.")
        return cls(file)

    def tool(self, tool: str | Callable[..., Any]) -> Callable[..., Any]:
        """A function in place of a tool: a step of this name, answered by the recorded call with the same arguments.

        Args:
            tool: The function, or its name; the name alone takes keyword arguments only.
        """
        name = tool if isinstance(tool, str) else tool.__name__
        signature = None if isinstance(tool, str) else inspect.signature(tool)

        def answer(*args: Any, **kwargs: Any) -> Any:
            if signature is not None:
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                kwargs = dict(bound.arguments)
            elif args:
                raise TypeError(f"The arguments of {name!r} have no names. Pass the function to Cassette.tool instead of its name.")
            return self._answer(name, kwargs)

        async def answer_later(*args: Any, **kwargs: Any) -> Any:
            return answer(*args, **kwargs)

        chosen: Callable[..., Any] = answer_later if inspect.iscoroutinefunction(tool) else answer
        if callable(tool):
            chosen = wraps(tool)(chosen)
        return tool_step(name)(chosen)

    def assert_finished(self) -> None:
        """Every recorded call was made again.

        Raises:
            AssertionError: Some were not, or there were more calls of the model.
        """
        __tracebackhide__ = True
        self.model.assert_finished()
        if self._left:
            left = "\n  ".join(_shown(self._left))
            raise AssertionError(f"{len(self._left)} of {len(self._tools)} recorded calls of tools were not made:\n  {left}")

    def _answer(self, name: str, arguments: dict[str, Any]) -> Any:
        asked = _canonical(arguments)
        for at, call in enumerate(self._left):
            if call.name == name and _canonical(call.input if call.input is not None else {}) == asked:
                del self._left[at]
                if call.failure is not None:
                    raise _exception(call.failure)
                return call.output
        known = [call for call in self._left if call.name == name]
        listed = "\n  ".join(_shown(known)) or "(none)"
        raise AssertionError(f"There is no recorded call {name}({asked}). Recorded, and not made yet:\n  {listed}")


def cassette_of(task_id: str, name: str, steps: Sequence[RecordedStep]) -> CassetteFile:
    """The calls of a task.

    A model call with another one below it is left out: it is the same call, seen by a second instrumentation. So is a tool below a tool of the same name.

    Args:
        task_id: Of the task.
        name: Of the task.
        steps: In the order of their starts.
    """
    by_id = {step.id: step for step in steps}
    above = {step.id: list(_ancestors(step, by_id)) for step in steps}
    outer = {parent.id for step in steps if step.type == "llm" for parent in above[step.id] if parent.type == "llm"}
    models = [_model_call(step) for step in steps if step.type == "llm" and step.id not in outer]
    tools = [
        RecordedToolCall(name=step.name, input=step.input, output=None if step.failed else step.output, failure=_failure(step))
        for step in steps
        if step.type == "tool" and not any(parent.type == "tool" and parent.name == step.name for parent in above[step.id])
    ]
    return CassetteFile(task_id=task_id, name=name, models=models, tools=tools)


def encode(file: CassetteFile) -> bytes:
    """The file as indented JSON, so that a review shows what changed."""
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def _ancestors(step: RecordedStep, by_id: dict[str, RecordedStep]) -> Iterable[RecordedStep]:
    seen = {step.id}
    parent = by_id.get(step.parent_id or "")
    while parent is not None and parent.id not in seen:
        seen.add(parent.id)
        yield parent
        parent = by_id.get(parent.parent_id or "")


def _model_call(step: RecordedStep) -> RecordedModelCall:
    text, calls = _said(step.output)
    usage = step.usage
    return RecordedModelCall(
        step=step.name,
        model=step.model,
        input=step.input,
        text=text,
        tool_calls=calls,
        input_tokens=usage.input if usage is not None else None,
        cached_tokens=(usage.cache_read or 0) if usage is not None else 0,
        output_tokens=usage.output if usage is not None else None,
        failure=_failure(step),
    )


def _said(output: Any) -> tuple[str | None, list[dict[str, Any]]]:
    """Text and tool calls of an output: messages, or any value, which is then the text."""
    if output is None or isinstance(output, str):
        return output, []
    messages = as_messages(output)
    if messages is None:
        return json.dumps(output, ensure_ascii=False), []
    parts: list[dict[str, Any]] = [part for message in messages for part in message["content"]]
    texts = [str(part.get("text")) for part in parts if part.get("type") == "text"]
    calls = [{"name": part.get("name"), "arguments": part.get("arguments")} for part in parts if part.get("type") == "tool_call"]
    return "".join(texts) if texts or not calls else None, calls


def _failure(step: RecordedStep) -> RecordedFailure | None:
    return RecordedFailure(type=step.error_type, message=step.error_message or "") if step.failed else None


def _exception(failure: RecordedFailure) -> Exception:
    kind = getattr(builtins, (failure.type or "").rpartition(".")[2], None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        return kind(failure.message)
    return RecordedToolError(f"{failure.type or 'error'}: {failure.message}")


def _canonical(value: Any) -> str:
    return json.dumps(msgspec.to_builtins(value, enc_hook=repr), sort_keys=True, ensure_ascii=False)


def _shown(calls: Sequence[RecordedToolCall]) -> list[str]:
    lines = [
        f"{call.name}({_canonical(call.input if call.input is not None else {})[:INPUT_CHARACTERS_MAX]})" for call in calls[:SHOWN_MAX]
    ]
    return lines + ([f"and {len(calls) - SHOWN_MAX} more"] if len(calls) > SHOWN_MAX else [])
