"""The events of a task with their positions, from a real log."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from litestar.testing import AsyncTestClient

from ams_contracts.codec import encode
from ams_contracts.events import Batch, Producer, ProducerReported
from ams_contracts.positions import Position
from ams_contracts.topics import STEPS, task_key
from ams_kit.bus import Log, Record, create_topics
from ams_trace_query import task_log


@pytest.fixture
async def log(kafka_bootstrap: str) -> AsyncIterator[Log]:
    await create_topics(kafka_bootstrap)
    log = await Log.open(kafka_bootstrap, "test")
    yield log
    await log.close()


@pytest.fixture
async def grace(make_query_app, kafka_bootstrap, store, project_of) -> AsyncIterator:
    """A member of the project, of an application that reads the log."""
    async with AsyncTestClient(make_query_app(kafka_bootstrap=kafka_bootstrap)) as client:
        yield project_of(client, store.project_id)


def record(project_id: str, task_id: str, number: int) -> Record:
    """A record with one event, in the partition of its key."""
    event = ProducerReported(event_id=f"{number:032x}", seq=number, at_us=number, truncated=number)
    batch = Batch(v=1, project_id=project_id, task_id=task_id, producer=Producer(sdk="t", instance_id="t"), events=[event])
    return Record(topic=STEPS, key=task_key(project_id, task_id), value=encode(batch), headers=[])


async def published(log: Log, store, numbers: int) -> tuple[str, list[Position]]:
    """A task with records in the log, and other tasks' records between them."""
    task_id = "c" * 31 + "1"
    positions: list[Position] = []
    for number in range(1, numbers + 1):
        (position,) = await log.publish([record(store.project_id, task_id, number)])
        positions.append(position)
        # the same key of another project may share the partition
        await log.publish([record("01900000-0000-7000-8000-0000000000ff", task_id, 100 + number)])
    places = {"partition": positions[0].partition, "first_offset": positions[0].offset - 1, "last_offset": positions[-1].offset - 1}
    await store.task(task_id=task_id, **places)
    return task_id, positions


async def lines(project, path: str) -> list[dict]:
    answer = await project.answer(path)
    assert answer.status_code == 200, answer.text
    return [msgspec.json.decode(line) for line in answer.content.splitlines()]


async def test_the_records_of_a_task_come_in_order_with_their_positions(grace, log: Log, store) -> None:
    task_id, positions = await published(log, store, 3)

    *records, end = await lines(grace, f"tasks/{task_id}/log")

    assert [line["position"] for line in records] == [str(position) for position in positions]
    assert [line["batch"]["events"][0]["seq"] for line in records] == [1, 2, 3]
    assert {line["batch"]["project_id"] for line in records} == {store.project_id}
    assert all(line["at_ms"] > 1_700_000_000_000 for line in records)
    assert end == {"end": True, "position": str(positions[-1])}


async def test_only_records_after_a_position_are_read(grace, log: Log, store) -> None:
    task_id, positions = await published(log, store, 3)

    *records, end = await lines(grace, f"tasks/{task_id}/log?after={positions[1]}")
    *none, same = await lines(grace, f"tasks/{task_id}/log?after={positions[2]}")

    assert [line["position"] for line in records] == [str(positions[2])]
    assert none == []
    assert same == end


async def test_a_log_that_has_forgotten_the_task_says_so(grace, log: Log, store) -> None:
    (position,) = await log.publish([record(store.project_id, "d" * 32, 1)])
    task_id = await store.task(partition=position.partition, first_offset=-1, last_offset=position.offset - 1)

    problem = await grace.problem(f"tasks/{task_id}/log")

    assert (problem["status"], problem["code"]) == (404, "log_expired")


async def test_a_task_that_is_too_large_is_refused(ada, store) -> None:
    steps = await store.task(steps=task_log.STEPS_MAX + 1)
    records = await store.task(first_offset=0, last_offset=task_log.RECORDS_MAX)

    for task_id in (steps, records):
        problem = await ada.problem(f"tasks/{task_id}/log")
        assert (problem["status"], problem["code"]) == (413, "too_large_to_replay")


@pytest.mark.parametrize("after", ["x", "1.7", "9.7.3", "1.8.3"])
async def test_a_position_of_something_else_is_refused(ada, store, after: str) -> None:
    task_id = await store.task(partition=7)

    problem = await ada.problem(f"tasks/{task_id}/log?after={after}")

    assert (problem["status"], problem["code"]) == (400, "bad_position")


async def test_without_a_log_the_answer_says_why(ada, store) -> None:
    problem = await ada.problem(f"tasks/{await store.task()}/log")

    assert (problem["status"], problem["code"]) == (503, "log_unavailable")
