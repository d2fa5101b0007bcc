"""The names of the public API that make steps: ``ams.step``, ``ams.tool``, ``ams.agent``, ``ams.task`` ..."""

from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar, overload

from ams.tracing.decorators import is_function
from ams.tracing.handles import Step, Task
from ams.tracing.records import AgentRecord
from ams.tracing.step_options import StepOptions

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")
Capture = Literal["all", "metadata", "none"]


class Kind:
    """Makes steps of one type: ``@ams.tool``, ``@ams.tool(name="search")`` or ``with ams.tool("search") as s:``."""

    __slots__ = ("_type",)

    def __init__(self, step_type: str) -> None:
        self._type = step_type

    @overload
    def __call__(self, name: F, /) -> F: ...
    @overload
    def __call__(
        self,
        name: str | None = None,
        *,
        input: object = None,
        model: str | None = None,
        agent: str | None = None,
        capture_input: bool | None = None,
        capture_output: bool | None = None,
        capture: Capture | None = None,
    ) -> Step: ...
    def __call__(self, name: Any = None, **options: Any) -> Any:
        """A step to enter or to decorate with.

        Args:
            name: Its name in the explorer; default the name of the function.
            **options: input (what goes in), model (the model asked), agent (whose step it is, else that of the step around it),
                capture_input and capture_output (False keeps arguments or the result out of AMS), capture (metadata: no contents at all;
                none: no step; all: contents, although ``ams.init`` excludes them).
        """
        if is_function(name):
            return Step(StepOptions(None, self._type))(name)
        return Step(StepOptions(name if name is None else str(name), self._type, **options))


class StepKind:
    """``ams.step``: like the others, with the type as an argument."""

    __slots__ = ()

    @overload
    def __call__(self, name: F, /) -> F: ...
    @overload
    def __call__(
        self,
        name: str | None = None,
        *,
        type: str = "span",
        input: object = None,
        model: str | None = None,
        agent: str | None = None,
        capture_input: bool | None = None,
        capture_output: bool | None = None,
        capture: Capture | None = None,
    ) -> Step: ...
    def __call__(self, name: Any = None, *, type: str = "span", **options: Any) -> Any:  # noqa: A002 - the contract's word
        """A step to enter or to decorate with; see ``Kind``. ``type`` is one of the contract's step types; another word is kept as ``type_raw``."""
        if is_function(name):
            return Step(StepOptions(None, type, **options))(name)
        return Step(StepOptions(name if name is None else str(name), type, **options))


class AgentKind:
    """``ams.agent``: a step of type agent, which registers the agent with AMS; the steps inside belong to it."""

    __slots__ = ()

    @overload
    def __call__(self, name: F, /) -> F: ...
    @overload
    def __call__(
        self,
        name: str | None = None,
        *,
        version: str | None = None,
        description: str | None = None,
        framework: str | None = None,
        owner: str | None = None,
        tools: list[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        input: object = None,
        model: str | None = None,
        capture_input: bool | None = None,
        capture_output: bool | None = None,
        capture: Capture | None = None,
    ) -> "AgentStep": ...
    def __call__(
        self,
        name: Any = None,
        *,
        version: str | None = None,
        description: str | None = None,
        framework: str | None = None,
        owner: str | None = None,
        tools: list[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Any:
        """An agent's step to enter or to decorate with.

        Args:
            name: The agent's name; default the name of the function.
            version: Of the agent.
            description: What it does, as text for people.
            framework: The framework that it is built with.
            owner: The person or team responsible for it.
            tools: The names of its tools.
            metadata: Anything else about it.
            **options: As for ``Kind``.
        """

        def registered(called: str, described: str | None) -> AgentStep:
            about = AgentRecord(
                called,
                version=version,
                description=described,
                framework=framework,
                owner=owner,
                tools=list(tools or []),
                metadata=dict(metadata or {}),
            )
            return AgentStep(StepOptions(called, "agent", agent=called, registration=about, **options))

        if is_function(name):
            return registered(_name_of(name), description or _first_line(name))(name)
        if name is None:
            return AgentStep(
                StepOptions(None, "agent", **options), lambda function: registered(_name_of(function), description or _first_line(function))
            )
        return registered(str(name), description)


class AgentStep(Step):
    """A step of type agent. ``@ams.agent(version="2")`` learns its name only from the function."""

    __slots__ = ("_named_by",)

    def __init__(self, options: StepOptions, named_by: "Callable[[Callable[..., Any]], AgentStep] | None" = None) -> None:
        super().__init__(options)
        self._named_by = named_by

    def __call__(self, function: F) -> F:
        return super().__call__(function) if self._named_by is None else self._named_by(function)(function)


class TaskKind:
    """``ams.task``: one run of an agent, from the question to the answer."""

    __slots__ = ()

    @overload
    def __call__(self, name: F, /) -> F: ...
    @overload
    def __call__(
        self,
        name: str | None = None,
        *,
        agent: str | None = None,
        kind: str | None = None,
        user_id: str | None = None,
        conversation_id: str | None = None,
        environment: str | None = None,
        tags: Mapping[str, str] | None = None,
        input: object = None,
        type: str = "workflow",
        capture_input: bool | None = None,
        capture_output: bool | None = None,
        capture: Capture | None = None,
    ) -> Task: ...
    def __call__(
        self,
        name: Any = None,
        *,
        agent: str | None = None,
        kind: str | None = None,
        user_id: str | None = None,
        conversation_id: str | None = None,
        environment: str | None = None,
        tags: Mapping[str, str] | None = None,
        type: str = "workflow",  # noqa: A002 - the contract's word
        **options: Any,
    ) -> Any:
        """A task to enter or to decorate with. Its root is a step of the same name.

        Args:
            name: Its name in the explorer; default the name of the function.
            agent: The agent that it is shown under; else the first agent that works in it.
            kind: A free word to sort tasks by.
            user_id: For whom.
            conversation_id: Ties the tasks of one conversation together.
            environment: prod, staging ...
            tags: Searchable names and values.
            type: The type of the root step.
            **options: As for ``Kind``.
        """
        about = {
            "agent": agent,
            "kind": kind,
            "user_id": user_id,
            "conversation_id": conversation_id,
            "environment": environment,
            "tags": dict(tags) if tags else None,
        }
        if is_function(name):
            return Task(StepOptions(None, type, about=about, **options))(name)
        return Task(StepOptions(name if name is None else str(name), type, about=about, **options))


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, which in whatever thread it is called works inside of the step that is current now: ``pool.submit(ams.carry(work), x)``."""
    context = copy_context()

    @wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        # a context can be entered by one thread at a time, so every call gets a copy of its own
        return context.copy().run(function, *args, **kwargs)

    return carried


def _name_of(function: Any) -> str:
    return str(getattr(function, "__name__", None) or type(function).__name__)


def _first_line(function: Any) -> str | None:
    text = getattr(function, "__doc__", None)
    return text.strip().partition("\n")[0] if isinstance(text, str) and text.strip() else None


step = StepKind()
task = TaskKind()
agent = AgentKind()
llm = Kind("llm")
tool = Kind("tool")
retrieval = Kind("retrieval")
embedding = Kind("embedding")
rerank = Kind("rerank")
workflow = Kind("workflow")
guardrail = Kind("guardrail")
evaluator = Kind("evaluator")
handoff = Kind("handoff")
memory = Kind("memory")
