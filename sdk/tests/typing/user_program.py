"""A user's program: what a decorator is applied to keeps its type. ``test_types.py`` checks it with mypy --strict and pyright, and runs it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar, assert_type, overload

import ams

T = TypeVar("T")


# -- functions: bare, called, called with options


@ams.tool
def search(query: str, limit: int = 3, *, deep: bool = False) -> list[str]:
    """Search."""
    return [query] * limit if deep else [query]


@ams.tool("look up")
def look_up(key: str) -> int:
    """Look up."""
    return len(key)


@ams.llm(model="gpt-4o-mini", capture_input=False, capture="metadata")
def ask(question: str) -> str:
    """Ask."""
    return question


@ams.step
def bare() -> None:
    """Do nothing."""


@ams.step(type="guardrail", input={"a": 1})
def guarded(text: str) -> bool:
    """Check."""
    return bool(text)


@ams.agent
def planner(goal: str) -> tuple[str, int]:
    """Plan."""
    return goal, 1


@ams.agent("researcher", version="2", tools=["search"], metadata={"team": "a"}, owner="Ada", framework="none", description="Finds")
def researcher(goal: str) -> dict[str, int]:
    """Research."""
    return {goal: 1}


@ams.agent(version="2")
def writer(goal: str) -> str:
    """Write."""
    return goal


@ams.task
def run(question: str) -> str:
    """Run."""
    return question


@ams.task("Answer", user_id="ada", tags={"a": "b"}, conversation_id="c", environment="test", kind="chat", agent="writer")
def answer(question: str) -> str:
    """Answer."""
    return question


# -- coroutines and generators


@ams.retrieval
async def fetch(url: str, patience: float = 1.0) -> bytes:
    """Fetch."""
    return url.encode() if patience else b""


@ams.retrieval(name="fetch", agent="writer")
async def fetch_named(url: str) -> bytes:
    """Fetch."""
    return url.encode()


@ams.llm
def stream(prompt: str) -> Generator[str, int, bool]:
    """Stream."""
    sent = yield prompt
    return sent == 1


@ams.llm(model="gpt-4o-mini")
def iterate(prompt: str) -> Iterator[str]:
    """Iterate."""
    yield prompt


@ams.llm
async def stream_later(prompt: str) -> AsyncGenerator[str, int]:
    """Stream."""
    yield prompt


@ams.llm("later")
async def iterate_later(prompt: str) -> AsyncIterator[str]:
    """Iterate."""
    yield prompt


# -- generic and overloaded functions


@ams.tool
def first(items: list[T]) -> T:
    """Return the first."""
    return items[0]


@overload
def double(value: int) -> int: ...
@overload
def double(value: str) -> str: ...
@ams.tool
def double(value: int | str) -> int | str:
    """Return it twice."""
    return value * 2


# -- methods, classes, callables


class Base(Generic[T]):
    """With every kind of method."""

    def __init__(self, value: T) -> None:
        self.value = value

    @ams.tool
    def method(self, times: int) -> list[T]:
        """Repeat."""
        return [self.value] * times

    @ams.tool("later", capture_output=False)
    async def later(self, times: int) -> list[T]:
        """Repeat."""
        return [self.value] * times

    @classmethod
    @ams.workflow
    def make(cls, value: T) -> "Base[T]":
        """Make."""
        return cls(value)

    @ams.workflow(name="make outside")
    @classmethod
    def make_outside(cls, value: T) -> "Base[T]":
        """Make."""
        return cls(value)

    @staticmethod
    @ams.memory
    def remember(key: str) -> str:
        """Remember."""
        return key

    @ams.memory(capture="none")
    @staticmethod
    def remember_outside(key: str) -> str:
        """Remember."""
        return key

    @property
    @ams.step
    def size(self) -> int:
        """Of it."""
        return 1

    @ams.evaluator
    def __call__(self, other: T) -> bool:
        """Compare."""
        return self.value == other


@ams.agent
class Team:
    """Each public method is a step."""

    def __init__(self, size: int) -> None:
        self.size = size

    def work(self, goal: str) -> str:
        """Work."""
        return goal * self.size


@ams.tool("crew", capture_input=True)
class Crew:
    """The same, with options."""

    def work(self, goal: str) -> int:
        """Work."""
        return len(goal)


class Adder:
    """An object that can be called."""

    def __call__(self, number: int) -> int:
        """Add."""
        return number + 1


def use_functions() -> None:
    assert_type(search("a"), list[str])
    assert_type(search("a", 2, deep=True), list[str])
    assert_type(look_up("a"), int)
    assert_type(ask("a"), str)
    assert_type(guarded("a"), bool)
    assert_type(planner("a"), tuple[str, int])
    assert_type(researcher("a"), dict[str, int])
    assert_type(writer("a"), str)
    assert_type(run("a"), str)
    assert_type(answer("a"), str)
    assert_type(first([1]), int)
    assert_type(double(1), int)
    assert_type(double("a"), str)
    bare()
    callback: Callable[[str], int] = look_up
    assert_type(callback("a"), int)


async def use_coroutines_and_generators() -> None:
    coroutine: Coroutine[Any, Any, bytes] = fetch("a", patience=2.0)
    assert_type(await coroutine, bytes)
    assert_type(await fetch_named("a"), bytes)
    assert_type(stream("a"), Generator[str, int, bool])
    assert_type(iterate("a"), Iterator[str])
    assert_type(stream_later("a"), AsyncGenerator[str, int])
    assert_type(iterate_later("a"), AsyncIterator[str])
    async for piece in iterate_later("a"):
        assert_type(piece, str)


async def use_methods() -> None:
    base = Base[int].make(1)
    assert_type(base, Base[int])
    assert_type(Base[int].make_outside(1), Base[int])
    assert_type(base.method(2), list[int])
    assert_type(await base.later(2), list[int])
    assert_type(Base.remember("a"), str)
    assert_type(base.remember_outside("a"), str)
    assert_type(base.size, int)
    assert_type(base(1), bool)


def use_classes_and_objects() -> None:
    assert_type(Team(2), Team)
    assert_type(Team(2).work("a"), str)
    assert_type(Crew().work("a"), int)
    add = ams.tool(Adder())
    assert_type(add, Adder)
    assert_type(add(1), int)


async def use_context_managers() -> None:
    with ams.task("Answer", user_id="ada") as task:
        assert_type(task, ams.Task)
        assert_type(task.url, str | None)
        assert_type(task.task_id, str | None)
        with ams.step("draft", type="llm", model="gpt-4o-mini", input=["a"]) as step:
            assert_type(step, ams.Step)
            step.output = {"any": ["thing"]}
            step.usage(input=1, output=2, cache_read=1)
            step.cost(0.1)
            assert_type(step.set(provider="openai", anything=1), ams.Step)
            with step.waiting("for approval") as waiting:
                assert_type(waiting, ams.Step)
        async with ams.tool("search") as tool, ams.agent("writer", version="2") as agent:
            assert_type(tool, ams.Step)
            assert_type(agent.status, str)
        assert_type(ams.current_step(), ams.Step)


def use_the_process() -> None:
    assert_type(
        ams.init("ams_key", endpoint="http://localhost:9", transport="memory", spool="off", follow_threads=True, announce=False), bool
    )
    headers: dict[str, str] = {}
    ams.inject(headers)
    with ams.extract(headers):
        pass
    ams.score("helpful", value=1, comment="yes")
    with ThreadPoolExecutor(1) as pool:
        assert_type(pool.submit(ams.carry(look_up), "abc").result(), int)
    assert_type(ams.carry(search)("a", deep=True), list[str])
    assert_type(ams.flush(0.1), ams.FlushResult)
    assert_type(ams.flush(0.1).sent, int)
    ams.shutdown(0.1)


if __name__ == "__main__":
    use_the_process()
    use_functions()
    use_classes_and_objects()
    asyncio.run(use_coroutines_and_generators())
    asyncio.run(use_methods())
    asyncio.run(use_context_managers())
