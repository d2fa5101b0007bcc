"""One task across processes: ``ams.inject`` and ``ams.extract``."""

import asyncio
from typing import Any

import pytest

import ams

FOREIGN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def outgoing(tracing: Any) -> tuple[dict[str, str], str, str]:
    """Headers of a request that a step sends, with the ids of its task and the step."""
    headers: dict[str, str] = {}
    with ams.task("the question", user_id="ada") as task, ams.tool("call") as step:
        assert ams.inject(headers) is headers
    ams.flush()
    assert task.task_id is not None
    assert step.step_id is not None
    return headers, task.task_id, step.step_id


@pytest.mark.parametrize(
    "received",
    [
        lambda headers: headers,
        lambda headers: {name.title(): value for name, value in headers.items()},
        lambda headers: [(name.encode(), value.encode()) for name, value in headers.items()],
    ],
    ids=["dict", "title case", "ASGI pairs"],
)
def test_steps_of_a_second_process_are_in_the_task_of_the_first(tracing: Any, received: Any) -> None:
    headers, task_id, step_id = outgoing(tracing)

    with ams.extract(received(headers)), ams.task("worker", user_id="eve") as joined, ams.step("inner"):
        joined.output = "done"

    ams.flush()
    assert joined.task_id == task_id
    assert tracing.steps()["worker"].parent_step_id == step_id
    assert tracing.steps()["inner"].parent_step_id == joined.step_id
    assert {task.name for task in tracing.tasks().values()} == {"the question"}
    assert {task.user_id for task in tracing.tasks().values()} == {"ada"}


def test_a_trace_that_no_sdk_started_is_a_task_named_by_its_first_step(tracing: Any) -> None:
    with ams.extract({"traceparent": FOREIGN}), ams.step("handler"):
        pass

    ams.flush()
    [(task_id, task)] = tracing.tasks().items()
    assert (task_id, task.name) == (FOREIGN[3:35], "handler")
    assert tracing.steps()["handler"].parent_step_id == FOREIGN[36:52]


@pytest.mark.parametrize(
    "headers",
    [{}, {"traceparent": "nonsense"}, {"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-01"}, [("traceparent", b"\xff")], None, 7],
)
def test_headers_without_a_trace_change_nothing(tracing: Any, headers: Any) -> None:
    with ams.task("task") as task, ams.extract(headers), ams.step("inner"):
        pass

    ams.flush()
    assert tracing.steps()["inner"].parent_step_id == task.step_id


def test_after_the_block_the_context_is_as_before(tracing: Any) -> None:
    with ams.task("task") as task:
        with ams.extract({"traceparent": FOREIGN}):
            assert not ams.current_step()
        assert ams.current_step().step_id == task.step_id


def test_requests_that_are_handled_at_the_same_time_stay_apart(tracing: Any) -> None:
    async def handle(number: int) -> tuple[str | None, str]:
        trace_id = f"{number + 1:032x}"
        async with ams.extract({"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}):
            await asyncio.sleep(0)
            with ams.step("handler") as step:
                await asyncio.sleep(0)
                return step.task_id, trace_id

    async def main() -> list[tuple[str | None, str]]:
        return await asyncio.gather(*(handle(number) for number in range(20)))

    assert all(task_id == trace_id for task_id, trace_id in asyncio.run(main()))


def test_outside_any_step_nothing_is_injected(tracing: Any) -> None:
    assert ams.inject() == {}
