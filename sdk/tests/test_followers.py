"""Threads, pools and processes that join the step in which they are started; classes as steps; a share of the tasks."""

import concurrent.futures
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import ams
from ams.tracing.records import TaskRecord
from ams_contracts.events import StepEnded, StepRecorded


def steps_of(intake: Any) -> dict[str, str | None]:
    """Name of each step -> name of its parent."""
    names = {step_id: name for name, step_id in intake.step_ids().items()}
    return {name: names.get(step.parent_step_id) for name, step in intake.steps().items()}


@pytest.fixture
def following(intake: Any) -> Any:
    ams.init("ams_test", endpoint=intake.url, flush_interval_seconds=0.01, announce=False, follow_threads=True)
    yield intake
    ams.init("ams_test", endpoint=intake.url, announce=False)
    ams.shutdown()


def work(name: str) -> str:
    with ams.step(name):
        return name


class Worker(threading.Thread):
    def run(self) -> None:
        work("subclass")


def test_threads_and_pools_join_the_step_in_which_they_are_started(following: Any) -> None:
    with ams.task("task"):
        with ams.step("starts threads"):
            threads = [threading.Thread(target=work, args=("thread",)), Worker(), threading.Timer(0, work, args=("timer",))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            with ams.step("submits"):
                assert pool.submit(work, "pool").result() == "pool"
            with ams.step("maps"):
                assert list(pool.map(work, ["map"])) == ["map"]

    assert ams.flush().complete
    assert steps_of(following) == {
        "task": None,
        "starts threads": "task",
        "submits": "task",
        "maps": "task",
        "thread": "starts threads",
        "subclass": "starts threads",
        "timer": "starts threads",
        "pool": "submits",
        "map": "maps",
    }


def test_a_worker_that_was_started_in_a_step_forgets_it(following: Any) -> None:
    pool = concurrent.futures.ThreadPoolExecutor(1)
    with ams.task("first"):
        pool.submit(work, "inside").result()
    pool.submit(work, "outside").result()
    pool.shutdown()

    assert ams.flush().complete
    assert steps_of(following) == {"first": None, "inside": "first", "outside": None}


def test_without_the_switch_threads_start_tasks_of_their_own(tracing: Any) -> None:
    with ams.task("task"), concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(work, "pool").result()

    assert ams.flush().complete
    assert steps_of(tracing) == {"task": None, "pool": None}


PROCESSES = """
import multiprocessing, sys
import ams
ams.init("ams_test", endpoint=sys.argv[1], announce=False)
def work(name):
    with ams.step(name):
        pass
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    with ams.task("task"):
        with ams.step("starts a process"):
            process = context.Process(target=work, args=("child",))
            process.start()
        process.join()
        assert process.exitcode == 0
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_process_joins_the_step_in_which_it_is_started(intake: Any, tmp_path: Path, method: str) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROCESSES, encoding="utf-8")

    done = subprocess.run([sys.executable, str(path), intake.url, method], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert steps_of(intake) == {"task": None, "starts a process": "task", "child": "starts a process"}
    assert len({batch.task_id for batch in intake.batches()}) == 1


def test_a_program_joins_the_step_that_its_environment_names(intake: Any, tmp_path: Path, tracing: Any) -> None:
    path = tmp_path / "program.py"
    path.write_text(
        "import sys, ams\nams.init('ams_test', endpoint=sys.argv[1], announce=False)\nwith ams.step('program'): pass\n", encoding="utf-8"
    )
    with ams.task("task"):
        environment = os.environ | {name.upper(): value for name, value in ams.inject({}).items()}
        subprocess.run([sys.executable, str(path), intake.url], env=environment, timeout=60, check=True)

    assert ams.flush().complete
    assert steps_of(tracing) == {"task": None, "program": "task"}


def test_an_environment_that_another_tool_wrote_changes_nothing(intake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", "00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    ams.init("ams_test", endpoint=intake.url, announce=False)
    with ams.task("task") as task:
        pass

    assert task.task_id != "a" * 32
    ams.shutdown()


def test_a_decorated_class_has_its_public_methods_as_steps(tracing: Any) -> None:
    @ams.tool
    class Search:
        def __init__(self) -> None:
            self._prepare()

        def _prepare(self) -> None:
            pass

        def find(self, query: str) -> str:
            return query

        @staticmethod
        def static(query: str) -> str:
            return query

        @classmethod
        def of(cls, query: str) -> str:
            return cls.__name__ + query

        @ams.llm(name="own")
        def ask(self) -> str:
            return "answer"

        async def wait(self) -> str:
            return "waited"

        @property
        def size(self) -> int:
            return 1

        def __call__(self, query: str) -> str:
            return query

    search = Search()
    with ams.task("task"):
        assert (search.find("a"), Search.static("b"), Search.of("c"), search.ask(), search("d"), search.size) == (
            "a",
            "b",
            "Searchc",
            "answer",
            "d",
            1,
        )

    assert ams.flush().complete
    steps = tracing.steps()
    assert set(steps) == {"task", "Search.find", "Search.static", "Search.of", "own", "Search"}
    assert {step.type for name, step in steps.items() if name.startswith("Search")} == {"tool"}
    assert tracing.payload("Search.find", "input").text == '{"query":"a"}'


def test_a_call_method_is_named_by_its_class(tracing: Any) -> None:
    class Agent:
        @ams.step
        def __call__(self) -> None:
            pass

    class Callable:
        def __call__(self) -> None:
            pass

    Agent()()
    ams.step(Callable())()

    assert ams.flush().complete
    assert set(tracing.steps()) == {"Agent", "Callable"}


def test_a_share_of_the_tasks_is_traced_each_with_all_of_its_steps(intake: Any) -> None:
    ams.init("ams_test", endpoint=intake.url, announce=False, sample_rate=0.25)
    traced = 0
    for _ in range(400):
        with ams.task("task"), ams.step("inner") as step:
            step.log("line")
            traced += ams.inject({})["traceparent"].endswith("-01")

    assert ams.flush().complete
    assert 50 < traced < 160
    names = Counter(event.step.name for event in intake.of(StepRecorded, StepEnded))
    assert names == {"task": traced, "inner": traced}
    ams.shutdown()


def test_another_process_follows_the_decision_of_the_first_one(tracing: Any) -> None:
    headers = {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-00", "tracestate": "ams=1"}
    with ams.extract(headers), ams.step("not wanted"):
        pass
    with ams.extract({**headers, "traceparent": "00-" + "c" * 32 + "-" + "b" * 16 + "-01"}), ams.step("wanted"):
        pass

    assert ams.flush().complete
    assert set(tracing.steps()) == {"wanted"}


def test_a_rate_of_nothing_traces_nothing(intake: Any) -> None:
    ams.init("ams_test", endpoint=intake.url, announce=False, sample_rate=0)

    assert not any(TaskRecord("task").sampled for _ in range(100))
    ams.init("ams_test", endpoint=intake.url, announce=False)
    assert all(TaskRecord("task").sampled for _ in range(100))
    ams.shutdown()
