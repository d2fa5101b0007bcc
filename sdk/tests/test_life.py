"""Start and end: init, fork, exit, signals."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

import ams
from ams.sending.client import FlushResult
from ams_contracts.events import StepProgressed, StepRecorded

PROLOGUE = """
import os, signal, sys, threading
import ams
ams.init("ams_test", endpoint=sys.argv[1])
"""


def program(tmp_path: Path, body: str) -> list[str]:
    path = tmp_path / "program.py"
    path.write_text(PROLOGUE + body)
    return [sys.executable, str(path)]


def run(tmp_path: Path, url: str, body: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*program(tmp_path, body), url], capture_output=True, text=True, timeout=timeout, check=False)


def test_without_a_key_there_is_one_warning_and_the_program_continues(caplog: pytest.LogCaptureFixture) -> None:
    assert ams.init() is False

    @ams.agent
    def planner() -> str:
        ams.current_step().log("ignored")
        with ams.task("task") as task, ams.step("s") as step:
            step.input, task.output = 1, 2
            step.usage(input=3)
        return "plan"

    assert planner() == "plan"
    assert not ams.current_step()
    assert ams.flush() == FlushResult(0, 0, 0, 0)
    [record] = [one for one in caplog.records if one.name == "ams"]
    assert "AMS_API_KEY" in record.message


@pytest.mark.parametrize("endpoint", ["localhost:8080", "http://", "ftp://x", "http://x:99999", "nonsense"])
def test_an_invalid_endpoint_gives_a_warning(endpoint: str, caplog: pytest.LogCaptureFixture) -> None:
    assert ams.init("ams_test", endpoint=endpoint) is False
    assert "AMS_ENDPOINT" in caplog.text


def test_a_misspelt_setting_gives_a_warning(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMS_APIKEY", "ams_test")

    assert ams.init() is False
    assert "AMS_APIKEY" in caplog.text
    assert "Did you mean AMS_API_KEY?" in caplog.text
    assert "ams_test" not in caplog.text


def test_a_proxy_is_not_asked_for_this_machine(intake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    ams.init("ams_test", endpoint=intake.url, announce=False)
    with ams.task("task"):
        pass

    assert ams.shutdown().complete


def test_no_content_is_sent_when_capture_is_off(intake: Any) -> None:
    ams.init("ams_test", endpoint=intake.url, announce=False, capture_input=False, capture_output=False)

    @ams.llm
    def stream(prompt: str) -> Any:
        yield f"{prompt} secret"

    with ams.task("task", input="secret") as task:
        task.output = "secret"
        task.delta("secret")
        list(stream("secret"))

    assert ams.shutdown().complete
    assert "secret" not in str(intake.events())


def test_key_and_endpoint_come_from_the_environment(intake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMS_ENDPOINT", intake.url + "/")
    monkeypatch.setenv("AMS_API_KEY", "ams_from_environment")

    assert ams.init(announce=False)
    with ams.task("task"):
        pass
    assert ams.shutdown().complete

    assert intake.keys == {"Bearer ams_from_environment"}


def test_init_alone_starts_no_thread() -> None:
    before = threading.active_count()

    ams.init("ams_test", endpoint="http://127.0.0.1:9")

    assert threading.active_count() == before
    ams.shutdown(timeout_seconds=0)


def test_after_shutdown_nothing_is_traced_and_nothing_breaks(tracing: Any) -> None:
    with ams.task("before"):
        pass
    assert ams.shutdown().complete
    with ams.task("after") as task:
        task.log("x")

    assert list(tracing.steps()) == ["before"]


def test_a_second_init_goes_to_the_second_server(tracing: Any) -> None:
    with ams.task("first"):
        pass
    ams.init("ams_other", endpoint=tracing.url, announce=False)
    with ams.task("second"):
        pass

    ams.flush()
    assert list(tracing.steps()) == ["first", "second"]
    assert tracing.keys == {"Bearer ams_test", "Bearer ams_other"}


@pytest.mark.parametrize("other_steps", [0, 3])
def test_a_step_around_a_second_init_has_its_end(tracing: Any, other_steps: int) -> None:
    with ams.task("outer"):
        with ams.step("inner") as inner:
            ams.flush()
            ams.init("ams_other", endpoint=tracing.url, announce=False)
            ams.init("ams_third", endpoint=tracing.url, announce=False)
            for number in range(other_steps):
                with ams.step(f"below {number}"):
                    pass
            inner.log("still here")
        ams.init("ams_fourth", endpoint=tracing.url, announce=False)

    assert ams.flush().dropped == 0
    steps = tracing.steps()
    assert {step.status for step in steps.values()} == {"ok"}
    assert len(steps) == 2 + other_steps
    assert [task.status for task in tracing.tasks().values()] == ["ok"]
    assert "still here" in [line.text for event in tracing.of(StepProgressed) for line in event.logs]
    seqs: dict[str, list[int]] = {}
    for made in tracing.batches():
        seqs.setdefault(made.producer.instance_id, []).extend(event.seq for event in made.events if event.seq)
    assert len(seqs) == 4
    for counted in seqs.values():  # each producer counts its events of a task from 1, so that none seems missing
        assert sorted(counted) == list(range(1, len(counted) + 1))


def test_the_end_of_the_program_sends_what_is_left_and_says_where_to_look(tmp_path: Path, intake: Any) -> None:
    done = run(tmp_path, intake.url, 'with ams.task("task"): pass\n')

    assert done.returncode == 0
    assert list(intake.steps()) == ["task"]
    [task_id] = intake.tasks()
    assert done.stderr == f"AMS: {intake.url}/t/{task_id}\n"


def test_an_absent_server_holds_the_end_up_no_longer_than_the_budget(tmp_path: Path) -> None:
    started = perf_counter()

    done = run(tmp_path, "http://127.0.0.1:9", 'with ams.task("task"): pass\n')

    assert done.returncode == 0
    assert "AMS:" not in done.stdout
    assert perf_counter() - started < 15  # 3 s, and a start on a busy machine


def test_sigterm_sends_what_is_left_and_ends_the_program_as_ever(tmp_path: Path, intake: Any) -> None:
    body = 'with ams.task("task"), ams.step("s"):\n    print("ready", flush=True)\n    threading.Event().wait()\n'
    process = subprocess.Popen([*program(tmp_path, body), intake.url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"

    process.terminate()

    assert process.wait(10) == -signal.SIGTERM
    assert list(intake.steps()) == ["task", "s"]


def test_a_handler_of_the_agents_own_stays(tmp_path: Path, intake: Any) -> None:
    body = """
def mine(*_):
    sys.exit(7)
signal.signal(signal.SIGTERM, mine)
ams.init("ams_test", endpoint=sys.argv[1])
with ams.task("task"):
    os.kill(os.getpid(), signal.SIGTERM)
"""
    done = run(tmp_path, intake.url, body)

    assert done.returncode == 7
    assert intake.steps()["task"].status == "error"


def test_a_forked_child_sends_its_own_steps_and_not_its_parents(tracing: Any) -> None:
    with ams.task("parent task"), ams.step("shared"):
        ams.flush()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with ams.step("of the child"):
                    pass
                code = 0 if ams.flush().complete else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        with ams.step("of the parent"):
            pass

    assert ams.flush().complete
    steps, ids = tracing.steps(), tracing.step_ids()
    assert steps["of the child"].parent_step_id == steps["of the parent"].parent_step_id == ids["shared"]
    producers: dict[str, list[int]] = {}
    for batch in tracing.batches():
        producers.setdefault(batch.producer.instance_id, []).extend(event.seq for event in batch.events)
    assert len(producers) == 2
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in producers.values())
    event_ids = [event.event_id for event in tracing.events()]
    assert len(set(event_ids)) == len(event_ids)


def test_a_fork_in_the_middle_of_sending_sends_nothing_twice(tracing: Any) -> None:
    tracing.gate.clear()
    with ams.task("task"):
        for number in range(100):
            with ams.step(f"step {number}"):
                pass
        child = os.fork()
        if child == 0:
            os._exit(0 if ams.flush(0.2).pending == 0 else 1)
        tracing.gate.set()
        assert os.waitpid(child, 0)[1] == 0

    assert ams.flush().complete
    assert len([event for event in tracing.of(StepRecorded) if event.step.name.startswith("step")]) == 100


def _child_of_multiprocessing() -> None:
    with ams.step("in child"):
        pass


def test_a_child_of_multiprocessing_sends_before_it_leaves(tracing: Any) -> None:
    process = multiprocessing.get_context("fork").Process(target=_child_of_multiprocessing)
    process.start()
    process.join(20)

    assert process.exitcode == 0
    assert list(tracing.steps()) == ["in child"]


def test_a_step_that_fails_inside_of_us_does_not_reach_the_agent(tracing: Any) -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("no attributes")

    @ams.tool
    def work(thing: Any) -> Any:
        return thing

    thing = Hostile()
    cycle: list[Any] = []
    cycle.append(cycle)

    assert work(thing) is thing
    assert work(cycle) is cycle
    assert work({1: {2, 3}, None: float("nan"), "big": 2**80, b"x": b"\xff"}) is not None
    assert ams.flush().complete
