"""Who is whose parent: in plain code, threads, tasks of asyncio and generators of both kinds."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ams
from ams_contracts.documents import StepDocument


def parents(tracing: Any) -> dict[str, str | None]:
    """Name of a step -> name of the step that it hangs under."""
    ams.flush()
    names = {step_id: name for name, step_id in tracing.step_ids().items()}
    steps: dict[str, StepDocument] = tracing.steps()
    return {name: names.get(step.parent_step_id or "") for name, step in steps.items()}


def test_calls_nest_as_they_are_made(tracing: Any) -> None:
    @ams.tool
    def inner() -> None: ...

    @ams.agent
    def outer() -> None:
        inner()
        with ams.step("block"):
            ams.tool("deep")(lambda: None)()

    with ams.task("task"):
        outer()
        with ams.step("after"):
            pass

    assert parents(tracing) == {"task": None, "outer": "task", "inner": "outer", "block": "outer", "deep": "block", "after": "task"}


def test_a_step_outside_of_a_task_opens_one_with_its_name(tracing: Any) -> None:
    @ams.agent
    def planner() -> None:
        with ams.step("inside"):
            pass

    planner()
    planner()

    assert parents(tracing) == {"planner": None, "inside": "planner"}
    assert [task.name for task in tracing.tasks().values()] == ["planner", "planner"]
    assert {task.agent for task in tracing.tasks().values()} == {"planner"}


def test_a_task_inside_of_a_task_is_one_of_its_own_and_names_its_parent(tracing: Any) -> None:
    with ams.task("outer") as outer, ams.task("inner") as inner:
        pass

    ams.flush()
    assert tracing.tasks()[inner.task_id].parent_task_id == outer.task_id
    assert tracing.steps()["inner"].parent_step_id is None


async def test_concurrent_coroutines_do_not_see_each_other(tracing: Any) -> None:
    both = asyncio.Barrier(2)

    @ams.tool
    async def child(name: str) -> None:
        with ams.step(name):
            await both.wait()

    with ams.task("task"):
        await asyncio.gather(child("a"), child("b"))

    ams.flush()
    steps = tracing.steps()
    assert steps["a"].parent_step_id != steps["b"].parent_step_id


def test_a_thread_works_inside_of_the_step_that_was_carried_into_it(tracing: Any) -> None:
    def work(name: str) -> None:
        with ams.step(name):
            pass

    with ams.task("task"), ThreadPoolExecutor(2) as pool:
        with ams.step("parent"):
            list(pool.map(ams.carry(work), ["one", "two"]))
        stray = threading.Thread(target=work, args=("stray",))
        stray.start()
        stray.join()

    assert parents(tracing) == {"task": None, "parent": "task", "one": "parent", "two": "parent", "stray": None}


async def test_asyncio_to_thread_carries_by_itself(tracing: Any) -> None:
    def work() -> None:
        with ams.step("in thread"):
            pass

    with ams.task("task"):
        await asyncio.to_thread(work)

    assert parents(tracing)["in thread"] == "task"


def test_what_a_generators_consumer_does_is_not_inside_of_the_generator(tracing: Any) -> None:
    @ams.tool
    def produce() -> Any:
        with ams.step("in generator"):
            yield 1
            with ams.step("later in generator"):
                yield 2

    with ams.task("task"):
        for number in produce():
            with ams.step(f"consumer {number}"):
                pass

    assert parents(tracing) == {
        "task": None,
        "produce": "task",
        "in generator": "produce",
        "later in generator": "in generator",
        "consumer 1": "task",
        "consumer 2": "task",
    }


async def test_the_same_for_async_generators(tracing: Any) -> None:
    @ams.llm
    async def produce() -> AsyncGenerator[str]:
        with ams.step("in generator"):
            yield "a"
            await asyncio.sleep(0)
            yield "b"

    with ams.task("task"):
        async for piece in produce():
            with ams.step(f"consumer {piece}"):
                pass

    assert parents(tracing) == {"task": None, "produce": "task", "in generator": "produce", "consumer a": "task", "consumer b": "task"}
    assert tracing.payload("produce", "output").text == "ab"


async def test_a_plain_function_that_answers_with_a_coroutine_ends_with_it(tracing: Any) -> None:
    async def work() -> str:
        with ams.step("inside"):
            await asyncio.sleep(0)
        return "done"

    @ams.tool
    def lazy() -> Coroutine[Any, Any, str]:
        return work()

    with ams.task("task"):
        result = await lazy()

    assert result == "done"
    assert parents(tracing) == {"task": None, "lazy": "task", "inside": "lazy"}
    assert tracing.payload("lazy", "output").text == "done"


def test_generators_keep_send_throw_and_return(tracing: Any) -> None:
    @ams.tool
    def talk() -> Any:
        sent = yield "first"
        try:
            yield sent
        except KeyError:
            yield "caught"
        return "end"

    generator = talk()
    assert next(generator) == "first"
    assert generator.send("hello") == "hello"
    assert generator.throw(KeyError("x")) == "caught"
    with pytest.raises(StopIteration, match="end"):
        next(generator)
    ams.flush()
    assert tracing.steps()["talk"].status == "ok"


async def test_a_consumer_that_stops_early_leaves_a_cancelled_step(tracing: Any) -> None:
    closed = False

    @ams.tool
    async def endless() -> AsyncGenerator[str]:
        nonlocal closed
        try:
            while True:
                yield "x"
        finally:
            closed = True

    generator = endless()
    await anext(generator)
    await generator.aclose()

    ams.flush()
    assert closed
    assert tracing.steps()["endless"].status == "cancelled"


def test_methods_leave_self_out_of_the_input(tracing: Any) -> None:
    class Agent:
        @ams.tool
        def act(self, what: str) -> None: ...

        @staticmethod
        @ams.tool
        def still(what: str) -> None: ...

        @ams.tool
        @classmethod
        def general(cls, what: str) -> None: ...

    agent = Agent()
    agent.act("run")
    agent.still("rest")
    agent.general("know")

    ams.flush()
    assert [tracing.payload(name, "input").text for name in ("act", "still", "general")] == [
        '{"what":"run"}',
        '{"what":"rest"}',
        '{"what":"know"}',
    ]
