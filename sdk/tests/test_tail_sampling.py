"""Sampling at the end of tasks: what is always sent, what a share decides, and how long the wait may be."""

from typing import Any

import pytest

import ams
from ams.sending.assemble import Encoded
from ams.sending.tail_sampling import TailSampler
from ams.settings import SdkSettings
from ams.tracing.records import StepRecord, TaskRecord
from ams_contracts.events import StepEnded, StepRecorded


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def a_sampler(clock: Clock | None = None, **settings: Any) -> TailSampler:
    return TailSampler(SdkSettings(**{"tail_sample_rate": 0.0, **settings}), now=clock or Clock())


def a_task(share: float = 0.5) -> TaskRecord:
    task = TaskRecord("t")
    task.id = (int(share * 2**56) << 64) | 1
    return task


def a_step(task: TaskRecord, *, root: bool = False, status: str = "ok", seconds: float = 0.0, cost: float | None = None) -> StepRecord:
    step = StepRecord("s", "tool")
    step.task, step.root, step.cost_usd, step.duration_us, step.status = task, root, cost, int(seconds * 1e6), status
    return step


def an_event(task: TaskRecord, size: int = 10) -> Encoded:
    return Encoded(task.task_id, "e", b"x" * size, task=task)


def run(sampler: TailSampler, *steps: StepRecord) -> list[Encoded]:
    sent: list[Encoded] = []
    for step in steps:
        sampler.note(step)
        sent += sampler.sift([an_event(step.task)])
    return sent


@pytest.mark.parametrize(
    ("steps", "sent"),
    [
        ([{}, {"root": True}], 0),
        ([{"status": "error"}, {"root": True}], 2),
        ([{}, {"root": True, "status": "cancelled"}], 2),
        ([{}, {"root": True, "seconds": 10}], 2),
        ([{"seconds": 10}, {"root": True}], 0),
        ([{"cost": 0.06}, {"cost": 0.06}, {"root": True}], 3),
        ([{"cost": 0.06}, {"root": True}], 0),
    ],
)
def test_tasks_with_errors_long_ones_and_costly_ones_are_sent(steps: list[dict[str, Any]], sent: int) -> None:
    task = a_task()
    sampler = a_sampler()

    assert len(run(sampler, *(a_step(task, **step) for step in steps))) == sent
    assert sampler.left_out == (0 if sent else len(steps))
    assert (sampler.undecided, sampler.waiting_bytes) == (0, 0)


def test_the_share_decides_about_the_others_the_same_in_each_process() -> None:
    for _ in range(2):
        sampler = a_sampler(tail_sample_rate=0.3)
        sent = [run(sampler, a_step(a_task(share), root=True)) for share in (0.1, 0.29, 0.31, 0.9)]
        assert [len(events) for events in sent] == [1, 1, 0, 0]


def test_an_error_is_visible_before_the_task_ends_and_what_follows_is_sent_at_once() -> None:
    task = a_task()
    sampler = a_sampler()

    assert run(sampler, a_step(task)) == []
    assert len(run(sampler, a_step(task, status="error"))) == 2
    assert len(run(sampler, a_step(task))) == 1


def test_a_task_that_runs_for_long_is_sent_while_it_runs() -> None:
    clock = Clock()
    sampler = a_sampler(clock)
    assert run(sampler, a_step(a_task())) == []

    clock.now = 10.0

    assert len(sampler.sift([])) == 1


def test_beyond_its_memory_the_oldest_tasks_are_decided_early() -> None:
    sampler = a_sampler(tail_sample_rate=0.3, tail_waiting_bytes_max=1_000)
    sent: list[Encoded] = []
    for share in (0.1, 0.9, 0.2):
        task = a_task(share)
        sampler.note(a_step(task))
        sent += sampler.sift([an_event(task, 600)])

    assert [event.task_id for event in sent] == [a_task(0.1).task_id]
    assert (sampler.left_out, sampler.waiting_bytes) == (1, 600)


def test_a_step_that_ends_after_its_dropped_task_is_dropped_and_counted() -> None:
    task = a_task()
    sampler = a_sampler()
    run(sampler, a_step(task, root=True))

    assert run(sampler, a_step(task)) == []
    assert sampler.left_out == 2


def test_a_step_whose_start_was_sent_before_gets_its_end() -> None:
    step = a_step(a_task(), root=True)
    step.phase = 1

    assert len(run(a_sampler(), step)) == 1


def test_events_of_no_task_pass_and_the_end_of_the_process_releases_all() -> None:
    task = a_task()
    sampler = a_sampler()
    run(sampler, a_step(task))

    assert len(sampler.sift([Encoded(None, "e", b"{}")])) == 1
    assert len(sampler.sift([], release=True)) == 1


def test_a_program_sends_what_it_decided_and_counts_what_it_left_out(intake: Any) -> None:
    ams.init("ams_test", endpoint=intake.url, announce=False, tail_sample_rate=0.0, handle_sigterm=False)
    for number in range(5):
        with ams.task(f"fine {number}"), ams.tool("search"):
            pass
    with pytest.raises(ValueError, match="no"), ams.task("broken"), ams.tool("search"):
        raise ValueError("no")
    decided = ams.flush(10)
    with ams.task("open"):
        waiting = ams.flush(10)
        ended = ams.shutdown(10)

    names = [event.step.name for event in intake.of(StepRecorded, StepEnded)]
    assert sorted(set(names)) == ["broken", "search"]
    assert names.count("search") == 1
    assert (decided.sampled_out, decided.undecided, decided.complete) == (10, 0, True)
    assert waiting.undecided > 0
    assert (ended.undecided, ended.sampled_out) == (0, 10)
    assert "open" in {document.name for document in intake.tasks().values()}
