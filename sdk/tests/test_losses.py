"""What could not be delivered is counted once, reported to the platform, and named in one warning."""

import threading
from typing import Any

import pytest

import ams
from ams.tracing.tally import Tally
from ams_contracts.events import ProducerReported, StepEnded, StepRecorded, StepStarted


def last_report(tracing: Any) -> ProducerReported:
    return max(tracing.of(ProducerReported), key=lambda event: (event.at_us, event.seq))


def test_a_tight_loop_of_100_000_steps_is_sent_or_counted(intake: Any, caplog: pytest.LogCaptureFixture) -> None:
    ams.init("ams_test", endpoint=intake.url, announce=False, waiting_items_max=2_000)
    with ams.task("loop") as task:
        for _ in range(100_000):
            with ams.step("s"):
                pass

    result = ams.flush(60)

    sent = {event.step_id for event in intake.of(StepRecorded, StepEnded) if event.step.name == "s"}
    assert result.pending == 0
    assert result.dropped > 0
    assert len(sent) + result.dropped == 100_000
    assert last_report(intake).dropped == {"queue_full": result.dropped}
    assert {batch.task_id for batch in intake.batches() if any(isinstance(event, ProducerReported) for event in batch.events)} == {
        task.task_id
    }
    assert len([record for record in caplog.records if "queue of events is full" in record.message]) == 1


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
