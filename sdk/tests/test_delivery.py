"""Sending: order, retries, refusals, bounds, and what flush says of it."""

import logging
import threading
from time import perf_counter
from typing import Any

import pytest

import ams
from ams.sending.client import FlushResult
from ams_contracts.events import PayloadStored, StepRecorded, TaskEnded


def steps(count: int, *, first: int = 0) -> None:
    for number in range(first, first + count):
        with ams.step(f"step {number}"):
            pass


def names(intake: Any) -> list[str]:
    return [event.step.name for event in intake.of(StepRecorded)]


def answer(status: int, **headers: str) -> Any:
    return type(
        "Answer", (), {"status": status, "headers": {name.replace("_", "-"): value for name, value in headers.items()}, "body": b"{}"}
    )()


def test_the_key_goes_with_every_request(tracing: Any) -> None:
    steps(1)

    ams.flush()
    assert tracing.keys == {"Bearer ams_test"}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_was_not_taken_is_sent_again_with_the_same_ids_in_the_same_order(tracing: Any, status: int) -> None:
    tracing.refusals.extend(answer(status) for _ in range(3))

    with ams.task("task"):
        steps(20)
        ams.flush(0.01)
        steps(20, first=20)

    assert ams.flush().complete
    assert tracing.seen >= 4
    assert [event.step.name for event in tracing.of(StepRecorded)] == [f"step {number}" for number in range(40)]
    ids = [event.event_id for event in tracing.events()]
    assert len(set(ids)) == len(ids)


def test_retry_after_is_honoured(tracing: Any) -> None:
    tracing.refusals.append(answer(503, retry_after="0.3"))
    started = perf_counter()

    steps(1)

    assert ams.flush().complete
    assert perf_counter() - started >= 0.3


def test_a_server_that_comes_late_gets_everything(intake: Any) -> None:
    ams.init("ams_test", endpoint="http://127.0.0.1:9", flush_interval_seconds=0.01, announce=False)
    steps(3)

    result = ams.flush(0.2)

    assert (result.sent, result.dropped, result.complete) == (0, 0, False)
    assert result.pending >= 3
    assert result.reason is not None
    ams.shutdown(timeout_seconds=0)


def test_flush_counts_what_arrived(tracing: Any) -> None:
    with ams.task("task"):
        steps(10)

    result = ams.flush()

    assert result == FlushResult(sent=len(tracing.events()), pending=0, dropped=0, rejected=0)
    assert result.complete


def test_flush_does_not_say_complete_while_the_server_thinks(tracing: Any) -> None:
    tracing.gate.clear()
    steps(5)

    held = ams.flush(0.1)
    tracing.gate.set()
    let_go = ams.flush()

    assert not held.complete
    assert held.pending > 0
    assert let_go.complete


def test_a_server_that_hangs_does_not_hold_the_agent_up(tracing: Any) -> None:
    tracing.gate.clear()
    steps(1)
    started = perf_counter()

    with ams.task("task"):
        steps(2_000)
    took = perf_counter() - started

    assert tracing.requests == []  # nothing was answered all the while
    assert took < 2
    tracing.gate.set()
    assert ams.flush().complete


def test_the_queue_is_bounded_and_what_is_dropped_is_counted(intake: Any) -> None:
    intake.gate.clear()
    ams.init("ams_test", endpoint=intake.url, flush_interval_seconds=0.01, waiting_items_max=50, waiting_bytes_max=2_000, announce=False)
    with ams.task("task"):
        steps(1_000)

    intake.gate.set()
    result = ams.flush()

    assert result.dropped > 0
    assert result.pending == 0
    assert len(intake.steps()) + result.dropped == 1_001  # the task's root is a step too
    [ended] = intake.of(TaskEnded)
    assert ended.task.flags == ["events_dropped"]
    seqs = [event.seq for event in intake.events()]
    assert seqs == list(range(1, len(seqs) + 1))
    ams.shutdown()


def test_the_end_of_a_step_is_sent_even_if_the_queue_was_full_then(intake: Any) -> None:
    ams.init(
        "ams_test",
        endpoint=intake.url,
        flush_interval_seconds=0.01,
        heartbeat_seconds=0.1,
        waiting_items_max=30,
        waiting_bytes_max=10_000,
        announce=False,
    )
    with ams.task("task"), ams.step("long"):
        ams.flush()
        intake.gate.clear()
        steps(500)
    intake.gate.set()
    intake.wait(lambda: any(task.status == "ok" for task in intake.tasks().values()))

    assert intake.steps()["long"].status == "ok"
    ams.shutdown()


def test_requests_stay_within_their_limits(tracing: Any) -> None:
    tracing.gate.clear()
    for number in range(150):
        with ams.task(f"task {number}"):
            steps(9)
    with ams.task("heavy"):
        for _ in range(8):
            with ams.step("big", input="x" * 900_000):
                pass
    tracing.gate.set()

    assert ams.flush(10).complete
    for request in tracing.requests:
        assert len(request.batches) <= 100
        assert sum(len(batch.events) for batch in request.batches) <= 1_000
    assert max(tracing.sizes) <= 4 * 1024 * 1024
    assert len([event for event in tracing.of(PayloadStored) if event.bytes == 900_000]) == 8


def test_refused_events_are_counted_and_logged_once(tracing: Any, caplog: pytest.LogCaptureFixture) -> None:
    def too_large(event: object) -> str | None:
        return "too_large" if isinstance(event, StepRecorded) else None

    tracing.rejects = too_large

    with ams.task("task"):
        steps(3)
        ams.flush()
        steps(2)

    result = ams.flush()
    assert result.rejected == 5
    assert result.pending == 0
    assert [record.message for record in caplog.records if "too_large" in record.message] != []
    assert len(of_ams(caplog)) == 1


def of_ams(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What the SDK said; another test's server may still run in this process and say something of its own."""
    return [record for record in caplog.records if record.name == "ams"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_gets_one_warning_that_says_what_to_do(tracing: Any, caplog: pytest.LogCaptureFixture, status: int) -> None:
    tracing.refusals.extend(answer(status) for _ in range(50))

    steps(1)
    result = ams.flush(2)

    assert (result.sent, result.complete) == (0, False)
    [record] = of_ams(caplog)
    assert "AMS_API_KEY" in record.message
    assert "ams_test" not in record.message


def test_an_address_that_is_not_ams_gives_a_warning(intake: Any, caplog: pytest.LogCaptureFixture) -> None:
    ams.init("ams_test", endpoint=intake.url + "/elsewhere", flush_interval_seconds=0.01, announce=False)

    steps(1)
    result = ams.flush(2)

    assert not result.complete
    assert "AMS_ENDPOINT" in caplog.text
    ams.shutdown(timeout_seconds=0)


def test_an_answer_that_is_not_ams_is_no_delivery(tracing: Any) -> None:
    tracing.refusals.extend(type(answer(200))() if False else answer(200) for _ in range(50))

    steps(1)

    assert not ams.flush(1).complete


def test_a_request_too_large_for_a_proxy_is_sent_in_parts(tracing: Any) -> None:
    with ams.task("task"):
        tracing.refusals.extend([answer(413), answer(413)])
        steps(40)

        assert ams.flush().complete
    assert len(names(tracing)) == 40


def test_one_request_that_is_never_understood_costs_one_event(tracing: Any, caplog: pytest.LogCaptureFixture) -> None:
    with ams.task("task"):
        ams.flush()
        tracing.gate.clear()
        steps(64)
        tracing.refusals.extend(answer(422) for _ in range(7))
        tracing.gate.set()

        result = ams.flush()
    assert result.dropped == 1
    assert result.pending == 0
    assert "could not read an event" in caplog.text


def test_our_own_requests_are_not_in_the_agents_log(tracing: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        steps(1)
        ams.flush()

    assert [record for record in caplog.records if record.name.startswith("httpx")] == []


def test_many_threads_lose_nothing(tracing: Any) -> None:
    def work(number: int) -> None:
        with ams.task(f"task {number}"):
            steps(300)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    result = ams.flush(20)
    assert result.complete
    assert len(names(tracing)) + len([s for s in tracing.steps() if s.startswith("task")]) >= 8 * 300
