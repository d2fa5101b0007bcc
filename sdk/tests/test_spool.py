"""Events that wait on disk: while AMS is unreachable, after the end of the process, and after kill -9."""

import os
import random
import resource
import signal
import stat
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ams
from ams.sending.client import current_client
from ams.settings import SdkSettings
from ams.spool.segments import Folder
from ams_contracts.events import Event, ProducerReported, ScoreRecorded, StepEnded, StepRecorded, StepStarted, TaskEnded, TaskStarted


def init(url: str, **options: Any) -> None:
    quick: dict[str, Any] = {"flush_interval_seconds": 0.01, "backoff_first_seconds": 0.02, "backoff_max_seconds": 0.1, "exit_seconds": 0.3}
    assert ams.init("ams_test", endpoint=url, announce=False, **{**quick, **options})


def answer(status: int) -> Any:
    return type("Answer", (), {"status": status, "headers": {}, "body": b"{}"})()


def folder_of(url: str, tmp_path: Path) -> Folder:
    return Folder(SdkSettings(api_key="ams_test", endpoint=url, spool_dir=str(tmp_path / "spool")))


def ended(intake: Any) -> list[str]:
    """Names of ended steps; one that arrived twice with one event id is one."""
    return list({event.event_id: event.step.name for event in intake.of(StepRecorded, StepEnded)}.values())


def deliver(intake: Any, **options: Any) -> ams.FlushResult:
    """Another process's work: take over what is in the spool."""
    init(intake.url, **options)
    client = current_client()
    assert client is not None
    client.deliver_spool(20)
    result = ams.flush(20)
    ams.shutdown()
    return result


def test_a_server_that_is_down_for_a_while_gets_everything_in_order(intake: Any, tmp_path: Path) -> None:
    init(intake.url)
    intake.refusals.extend(answer(503) for _ in range(10_000))
    with ams.task("task"):
        for number in range(300):
            with ams.step(f"step {number}", input="x" * 3_000):
                pass
    intake.wait(lambda: bool(folder_of(intake.url, tmp_path).paths()))

    with intake.changed:
        intake.refusals.clear()
    result = ams.flush(20)

    assert (result.pending, result.spooled, result.dropped, result.complete) == (0, 0, 0, True)
    assert [name for name in ended(intake) if name != "task"] == [f"step {number}" for number in range(300)]
    ids = [event.event_id for event in intake.events()]
    assert len(ids) == len(set(ids))
    ams.shutdown()
    assert folder_of(intake.url, tmp_path).paths() == []


def test_what_a_process_could_not_send_before_its_end_is_sent_by_the_next_one(
    intake: Any, program: Callable[..., subprocess.Popen[str]]
) -> None:
    intake.refusals.extend(answer(503) for _ in range(1_000))
    process = program("with ams.task('task'):\n    for n in range(50):\n        with ams.step(f'step {n}'): pass\n", intake.url)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "51 steps were not delivered" in stderr
    assert "They are in the spool" in stderr
    assert intake.requests == []
    intake.refusals.clear()

    result = deliver(intake)

    assert result.complete
    assert sorted(ended(intake)) == sorted(["task", *(f"step {n}" for n in range(50))])
    assert len({batch.producer.instance_id for batch in intake.batches()}) == 1  # the dead process's own numbers, without a gap
    assert [event.seq for event in intake.events()] == list(range(1, len(intake.events()) + 1))


def test_files_are_readable_by_their_owner_alone(intake: Any, tmp_path: Path) -> None:
    init(intake.url, spool="always")
    with ams.step("one"):
        pass

    [path] = folder_of(intake.url, tmp_path).paths()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    ams.flush()
    ams.shutdown()
    assert not path.exists()


def test_sigterm_while_the_server_is_down_leaves_everything_to_the_next_process(
    intake: Any, program: Callable[..., subprocess.Popen[str]]
) -> None:
    intake.refusals.extend(answer(503) for _ in range(1_000))
    body = "with ams.task('task'):\n    with ams.step('inner'): pass\n    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(30)\n"
    process = program(body, intake.url)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    intake.refusals.clear()

    deliver(intake)

    assert {event.step.name: event.step.status for event in intake.of(StepRecorded, StepEnded)} == {"task": "cancelled", "inner": "ok"}


KILLED = """
import threading
def work(thread):
    with ams.task(f"task {thread}") as task:
        n = 0
        while True:
            with ams.step(f"{thread}-{n}", input="x" * 500) as s:
                s.log(f"line {thread}-{n}")
                s.output = "y" * 500
            os.write(1, f"{thread}-{n}\\n".encode())
            n += 1
for thread in range(2):
    threading.Thread(target=work, args=(thread,), daemon=True).start()
time.sleep(60)
"""


@pytest.mark.parametrize("reachable", [True, False])
def test_kill_9_loses_nothing_that_a_call_returned_for_and_doubles_nothing(
    intake: Any, program: Callable[..., subprocess.Popen[str]], reachable: bool
) -> None:
    returned: list[str] = []
    if not reachable:
        intake.refusals.extend(answer(503) for _ in range(100_000))
    for _ in range(15):
        process = program(KILLED, intake.url, "always")
        assert process.stdout is not None
        returned.extend(process.stdout.readline().strip() for _ in range(random.randrange(2, 60)))
        process.kill()
        returned.extend(line for line in process.stdout.read().splitlines() if line)
        process.wait()
    intake.refusals.clear()

    result = deliver(intake)

    assert result.dropped == result.rejected == 0
    of_steps: dict[str, set[str]] = {}
    names: Counter[str] = Counter()
    for event in intake.of(StepRecorded, StepEnded):
        of_steps.setdefault(event.step_id, set()).add(event.event_id)
    for step_id, event_ids in of_steps.items():
        assert len(event_ids) == 1, step_id  # the same id in every process
    final = {event.step_id: event.step.name for event in intake.of(StepRecorded, StepEnded)}
    names.update(final.values())
    expected = Counter(returned)
    assert {name: count for name, count in expected.items() if names[name] < count} == {}
    assert sum(names.values()) - sum(expected.values()) <= 2 * 15  # a call that had not returned yet may have been recorded
    lines = {(event.event_id, line.text) for event in intake.events() if (logs := getattr(event, "logs", None)) for line in logs}
    assert len({event_id for event_id, _ in lines}) == len(lines)
    assert len(lines) >= len(returned)


def test_a_journal_that_is_taken_over_twice_makes_the_same_events(
    intake: Any, program: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    body = """
with ams.task("task", user_id="ada", tags={"team": "a"}) as task:
    with ams.tool("search", input={"query": "otters"}) as s:
        s.log("line")
        s.set(provider="openai", tier="gold")
        s.usage(input=3)
        s.cost(0.5)
        ams.score("helpful", 0.5, comment="yes")
    try:
        with ams.step("fails"):
            raise ValueError("no")
    except ValueError:
        pass
    with ams.step("open"):
        ams.current_step().log("still open")
        os.kill(os.getpid(), signal.SIGKILL)
"""
    intake.refusals.extend(answer(503) for _ in range(1_000))
    process = program(body, intake.url, "always")
    process.wait()
    [path] = folder_of(intake.url, tmp_path).paths()
    content = path.read_bytes()
    intake.refusals.clear()
    deliver(intake)
    first = {event.event_id: event for event in intake.events() if isinstance(event, StepRecorded | StepEnded | StepStarted | TaskStarted)}
    assert not path.exists()
    path.write_bytes(content)

    deliver(intake)

    second = {event.event_id for event in intake.events() if isinstance(event, StepRecorded | StepEnded | StepStarted | TaskStarted)}
    assert set(first) == second
    assert {event.step.name: event.step.status for event in intake.of(StepStarted, StepRecorded, StepEnded)} == {
        "task": "running",
        "search": "ok",
        "fails": "error",
        "open": "running",
    }
    [task] = intake.tasks().values()
    assert (task.user_id, task.tags, task.status) == ("ada", {"team": "a"}, "running")
    search = intake.steps()["search"]
    assert (search.provider, search.usage.input, search.cost_nusd) == ("openai", 3, 500_000_000)
    assert search.parent_step_id == intake.step_ids()["task"]
    assert {(event.score_id, event.step_id, event.number) for event in intake.of(ScoreRecorded)} == {
        (intake.of(ScoreRecorded)[0].score_id, intake.step_ids()["search"], 0.5)
    }
    assert intake.payload("search", "input").text == '{"query":"otters"}'


def test_a_damaged_tail_costs_the_damaged_part_alone(
    intake: Any, program: Callable[..., subprocess.Popen[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    intake.refusals.extend(answer(503) for _ in range(1_000))
    body = "for n in range(20):\n    with ams.step(f'step {n}'): pass\nos.kill(os.getpid(), signal.SIGKILL)\n"
    program(body, intake.url, "always").wait()
    [path] = folder_of(intake.url, tmp_path).paths()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data[:-5] + b"AMS\x01\xff\xff\xff\xff rubbish")
    intake.refusals.clear()

    deliver(intake)

    assert len(ended(intake)) == 18
    assert "damaged" in caplog.text


def test_a_full_disk_stops_nothing_and_counts_what_is_lost(intake: Any, program: Callable[..., subprocess.Popen[str]]) -> None:
    body = f"""
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, {resource.RLIM_INFINITY}))
with ams.task("task"):
    for n in range(200):
        with ams.step(f"step {{n}}", input="x" * 1_000): pass
print("continued", ams.flush(10))
"""
    process = program(body, intake.url, "always")

    stdout, _ = process.communicate(timeout=60)

    assert stdout.startswith("continued")
    assert "dropped=0" in stdout
    assert len(ended(intake)) == 201


def test_the_spool_is_bounded_and_the_oldest_events_go_first(intake: Any, tmp_path: Path) -> None:
    intake.refusals.extend(answer(503) for _ in range(100_000))
    init(intake.url, spool_bytes_max=100_000)
    with ams.task("task") as task:
        ams.flush(0.01)
        for number in range(400):
            with ams.step(f"step {number}", input="x" * 1_000):
                pass
    intake.wait(lambda: ams.flush(0.01).dropped > 0)
    assert folder_of(intake.url, tmp_path).size() <= 100_000

    intake.refusals.clear()
    ams.flush(20)
    result = ams.flush(20)

    assert (result.pending, result.spooled) == (0, 0)
    assert result.reasons == {"spool_full": result.dropped}
    report = max(intake.of(ProducerReported), key=lambda event: (event.at_us, event.seq))
    assert report.dropped == {"spool_full": result.dropped}
    assert task.task_id in {batch.task_id for batch in intake.batches()}
    assert "step 399" in ended(intake)
    assert intake.of(TaskEnded) != []
    ams.shutdown()


def test_two_processes_share_a_spool_and_take_nothing_from_each_other(intake: Any, program: Callable[..., subprocess.Popen[str]]) -> None:
    body = "with ams.task('task'):\n    for n in range(100):\n        with ams.step(f'{os.getpid()} {n}'): pass\n        time.sleep(0.003)\nprint(os.getpid(), ams.flush(20).complete)\n"
    processes = [program(body, intake.url, "always") for _ in range(2)]

    answers = [process.communicate(timeout=60)[0].split() for process in processes]

    assert [complete for _, complete in answers] == ["True", "True"]
    names = Counter(event.step.name for event in intake.of(StepRecorded, StepEnded) if event.step.name != "task")
    assert names == Counter(f"{pid} {n}" for pid, _ in answers for n in range(100))


def test_a_forked_child_leaves_the_parents_segments_alone(intake: Any, tmp_path: Path) -> None:
    init(intake.url, spool="always")
    intake.refusals.extend(answer(503) for _ in range(100_000))
    with ams.task("parent"):
        with ams.step("before"):
            pass
        child = os.fork()
        if child == 0:
            with ams.step("in the child"):
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
    paths = folder_of(intake.url, tmp_path).paths()
    assert len(paths) == 2
    intake.refusals.clear()

    assert ams.flush(20).pending == 0
    ams.shutdown()
    deliver(intake)

    assert Counter(ended(intake)) == Counter(["parent", "before", "in the child"])
    [task_id] = {batch.task_id for batch in intake.batches()}
    assert task_id is not None


def test_another_projects_key_does_not_send_what_this_one_left(intake: Any, program: Callable[..., subprocess.Popen[str]]) -> None:
    intake.refusals.extend(answer(503) for _ in range(1_000))
    program("with ams.step('secret'): pass\n", intake.url).wait()
    intake.refusals.clear()
    assert ams.init("ams_other", endpoint=intake.url, announce=False)
    client = current_client()
    assert client is not None

    assert client.deliver_spool(5) == 0

    ams.shutdown()
    assert intake.requests == []


def test_a_spool_that_cannot_be_written_stops_nothing(intake: Any, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way", encoding="utf-8")
    init(intake.url, spool="always", spool_dir=str(blocked))
    with ams.step("one"):
        pass

    assert ams.flush().complete
    ams.shutdown()
    assert ended(intake) == ["one"]


def test_the_queue_may_be_full_when_the_journal_has_the_step(intake: Any) -> None:
    init(intake.url, spool="always", waiting_items_max=20)
    intake.gate.clear()
    with ams.task("task"):
        for number in range(500):
            with ams.step(f"step {number}"):
                pass
    intake.gate.set()

    intake.wait(lambda: set(ended(intake)) >= {f"step {number}" for number in range(500)})

    assert ams.flush(10).dropped == 0
    kinds: list[type[Event]] = [type(event) for event in intake.of(ProducerReported)]
    assert kinds == []
    ams.shutdown()
