"""What could not be delivered is counted once, reported to the platform, and named in one warning."""

import threading
from typing import Any

import pytest

import ams
from ams.tracing.event_queue import EventQueue
from ams.tracing.records import TaskRecord
from ams.tracing.tally import Tally
from ams_contracts.events import ProducerReported, StepEnded, StepRecorded, StepStarted


def last_report(tracing: Any) -> ProducerReported:
    return max(tracing.of(ProducerReported), key=lambda event: (event.at_us, event.seq))


def steps(count: int) -> None:
    for _ in range(count):
        with ams.step("s"):
            pass


def test_a_tight_loop_of_100_000_steps_is_slowed_down_to_what_can_be_sent(intake: Any, caplog: pytest.LogCaptureFixture) -> None:
    ams.init("ams_test", endpoint=intake.url, announce=False, waiting_items_max=8_000)
    with ams.task("loop"):
        steps(100_000)

    result = ams.flush(120)

    assert len({event.step_id for event in intake.of(StepRecorded, StepEnded) if event.step.name == "s"}) == 100_000
    assert (result.pending, result.dropped) == (0, 0)
    assert [record for record in caplog.records if record.name.startswith("ams")] == []
    ams.shutdown()


def test_steps_beside_a_server_that_does_not_answer_are_counted_and_shown(intake: Any, caplog: pytest.LogCaptureFixture) -> None:
    ams.init("ams_test", endpoint=intake.url, announce=False, waiting_items_max=2_000)
    intake.gate.clear()
    with ams.task("loop") as task:
        steps(20_000)
    intake.gate.set()

    result = ams.flush(60)

    sent = {event.step_id for event in intake.of(StepRecorded, StepEnded) if event.step.name == "s"}
    assert result.pending == 0
    assert result.dropped > 0
    assert len(sent) + result.dropped == 20_000
    assert last_report(intake).dropped == {"queue_full": result.dropped}
    assert {batch.task_id for batch in intake.batches() if any(isinstance(event, ProducerReported) for event in batch.events)} == {
        task.task_id
    }
    [record] = [record for record in caplog.records if "queue of events is full" in record.message]
    assert " were dropped so far" in record.message
    ams.shutdown()


def test_a_step_waits_no_longer_once_steps_are_dropped() -> None:
    queue = EventQueue(items_max=10, bytes_max=1_000)
    task = TaskRecord("task")
    taken = [queue.put(object()) for _ in range(12)]
    assert taken == [True] * 10 + [False] * 2

    queue.count_lost(task)

    assert not queue.slows
    assert not queue.put(object())
    assert (queue.lost.value, task.dropped.value) == (1, 1)


def test_payloads_that_are_truncated_and_events_that_are_refused_are_reported(tracing: Any) -> None:
    tracing.rejects = lambda event: "too_deep" if isinstance(event, StepStarted | StepRecorded) and event.step.name == "bad" else None
    with ams.task("task"):
        with ams.step("big") as step:
            step.output = "x" * 3_000_000
        with ams.step("bad"):
            pass

    ams.flush()
    ams.flush()
    report = last_report(tracing)
    assert (report.dropped, report.truncated) == ({"too_deep": 1}, 1)


def test_a_report_that_is_refused_is_not_reported_again(tracing: Any) -> None:
    tracing.rejects = lambda event: "unknown_event" if isinstance(event, ProducerReported) else None
    with ams.task("task"), ams.step("big") as step:
        step.output = "x" * 3_000_000

    for _ in range(5):
        ams.flush()

    assert ams.flush().rejected == 1


def test_a_task_without_losses_reports_nothing(tracing: Any) -> None:
    with ams.task("task"), ams.step("s"):
        pass

    ams.flush()
    assert tracing.of(ProducerReported) == []


def test_no_increment_is_lost_between_threads() -> None:
    tally = Tally()
    threads = [threading.Thread(target=lambda: [tally.add() for _ in range(20_000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert tally.value == 160_000
