"""A model for tests: it says what its script says, by the protocols of OpenAI, Anthropic and Gemini, or in process."""

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

CHARACTERS_PER_TOKEN = 4  # a rough count, so that usage is there and the same in each run


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model calls a tool.

    Attributes:
        name: Of the tool.
        arguments: Its arguments; JSON values.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model says in one call.

    Attributes:
        text: None when it only calls tools.
        tool_calls: In order.
        input_tokens: Including the cached ones; None: counted from the characters of the request.
        cached_tokens: Of the input.
        output_tokens: None: counted from the characters of the reply.
    """

    text: str | None = None
    tool_calls: Sequence[ToolCall] = ()
    input_tokens: int | None = None
    cached_tokens: int = 0
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The provider refuses the call.

    Attributes:
        status: HTTP status; clients repeat 408, 409, 429 and 500 or more by themselves.
        message: The text of the error.
    """

    status: int
    message: str = "the script of the fake model says so"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """A call that the model received.

    Attributes:
        model: The name that the caller asked for.
        messages: As the caller sent them, in the format of its provider.
        tools: Names of the tools that were offered.
        called: Names of the tools that the conversation has called already.
        prompt: All words of the conversation.
        body: The complete request.
    """

    model: str
    messages: Sequence[Any]
    tools: Sequence[str] = ()
    called: Sequence[str] = ()
    prompt: str = ""
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])


Turn = str | ToolCall | Sequence[ToolCall] | Reply | Failure
Script = Iterable[Turn] | Callable[[ModelCall], Turn]


class ScriptEndedError(AssertionError):
    """The code under test called the model more often than the script has turns."""


class ModelFailureError(Exception):
    """The script lets this call fail.

    Attributes:
        failure: With status and message.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class FakeModel:
    """A scripted model. Any number of threads may call it.

    Args:
        script: What it says, call by call: a text, a tool call or several, a ``Reply``, or a ``Failure``. Or a function of the call.

    Attributes:
        calls: What it was asked, oldest first.
        replies: What it said, without the calls that failed.
    """

    def __init__(self, script: Script = ()) -> None:
        self.calls: list[ModelCall] = []
        self.replies: list[Reply] = []
        self._decide: Callable[[ModelCall], Turn] | None = script if callable(script) else None
        self._turns: list[Turn] = [] if callable(script) else list(script)
        self._next = 0
        self._ended = 0
        self._numbers = count(1)
        self._lock = threading.Lock()

    def say(self, *turns: Turn) -> None:
        """Add turns to the script."""
        with self._lock:
            self._turns.extend(turns)

    def complete(self, messages: Sequence[Any], *, model: str = "fake", tools: Sequence[str] = ()) -> Reply:
        """Answer in process.

        Raises:
            ScriptEndedError: The script has no more turns.
            ModelFailureError: The script says ``Failure``.
        """
        return self.answer(ModelCall(model=model, messages=messages, tools=tools, prompt=words_of(messages)))

    def answer(self, call: ModelCall) -> Reply:
        """The next turn of the script, with its tokens. Raises like ``complete``."""
        with self._lock:
            self.calls.append(call)
            number = len(self.calls)
            turn = self._decide(call) if self._decide is not None else self._take(number)
            if isinstance(turn, Failure):
                raise ModelFailureError(turn)
            reply = _reply_of(turn)
            said = (reply.text or "") + "".join(json.dumps(dict(one.arguments)) for one in reply.tool_calls)
            reply = Reply(
                text=reply.text,
                tool_calls=tuple(reply.tool_calls),
                input_tokens=_tokens(call.prompt) if reply.input_tokens is None else reply.input_tokens,
                cached_tokens=reply.cached_tokens,
                output_tokens=_tokens(said) if reply.output_tokens is None else reply.output_tokens,
            )
            self.replies.append(reply)
            return reply

    def next_number(self) -> int:
        """A number for the ids of an answer."""
        return next(self._numbers)

    def assert_finished(self) -> None:
        """The code under test made as many calls as the script has turns.

        Raises:
            AssertionError: It made fewer or more.
        """
        __tracebackhide__ = True
        if self._ended:
            raise AssertionError(f"The script of the fake model has {len(self._turns)} turns, and there were {self._ended} calls more.")
        left = self._turns[self._next :]
        if left:
            raise AssertionError(f"{len(left)} of {len(self._turns)} turns of the fake model were not used. The next one: {left[0]!r}")

    def _take(self, number: int) -> Turn:
        if self._next >= len(self._turns):
            self._ended += 1
            raise ScriptEndedError(f"The script of the fake model has {len(self._turns)} turns, and this is call {number}.")
        self._next += 1
        return self._turns[self._next - 1]


def _reply_of(turn: str | ToolCall | Sequence[ToolCall] | Reply) -> Reply:
    if isinstance(turn, Reply):
        return turn
    if isinstance(turn, str):
        return Reply(text=turn)
    return Reply(tool_calls=(turn,) if isinstance(turn, ToolCall) else tuple(turn))


def _tokens(text: str) -> int:
    return 1 + len(text) // CHARACTERS_PER_TOKEN


def words_of(value: object) -> str:
    """All texts in a JSON document, a line each."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "\n".join(words_of(one) for one in value.values())  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, Sequence):
        return "\n".join(words_of(one) for one in value)  # pyright: ignore[reportUnknownVariableType]
    return ""
