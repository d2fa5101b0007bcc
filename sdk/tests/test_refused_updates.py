"""Updates that a full queue refuses: each is counted once, whichever way it came."""

from collections.abc import Iterator

import pytest

import ams
from ams.tracing.event_queue import EventQueue
from ams.tracing.runtime import runtime


@pytest.fixture
def full_queue(monkeypatch: pytest.MonkeyPatch) -> EventQueue:
    """A queue with room for two starts of steps and nothing else."""
    queue = EventQueue(items_max=2, bytes_max=1_000_000)
    monkeypatch.setattr(runtime, "queue", queue)
    return queue


def test_refused_pieces_of_a_generator_are_counted_once_each(full_queue: EventQueue) -> None:
    @ams.llm
    def stream() -> Iterator[str]:
        yield "one"
        yield "two"
        yield "three"

    with ams.task("task") as task:
        assert "".join(stream()) == "onetwothree"
        assert full_queue.lost.value == 3

    assert task._record.task.dropped.value == 3


def test_refused_pieces_and_log_lines_of_a_step_are_counted_once_each(full_queue: EventQueue) -> None:
    with ams.task("task"), ams.step("step") as step:
        step.delta("one")
        step.log("two")

        assert full_queue.lost.value == 2
