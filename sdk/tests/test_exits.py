"""How a process ends: signals, pools, forks and exits. What it traced arrives, and the end never hangs."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROLOGUE = """
import concurrent.futures, multiprocessing, os, signal, sys, threading, time
import ams
ams.init("ams_test", endpoint=sys.argv[1], announce=False)
"""


def start(tmp_path: Path, url: str, body: str) -> subprocess.Popen[str]:
    path = tmp_path / "program.py"
    path.write_text(PROLOGUE + body)
    return subprocess.Popen([sys.executable, str(path), url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_pool_of_forked_workers_ends_though_the_sender_wakes_while_sigterm_arrives(tmp_path: Path, intake: Any) -> None:
    body = """
def work(number):
    with ams.step("work"):
        return number
if __name__ == "__main__":
    for round in range(5):
        with ams.task("task"), multiprocessing.get_context("fork").Pool(4) as pool:  # leaving the block terminates the workers
            assert sorted(pool.map(work, range(40), chunksize=1)) == list(range(40))
    print("ended")
"""
    process = start(tmp_path, intake.url, body)

    stdout, stderr = process.communicate(timeout=100)  # 20 workers connect, send and end one after the other beside a busy machine

    assert (process.returncode, stdout) == (0, "ended\n"), stderr


def test_sigterm_reaches_a_child_that_has_only_just_been_forked(tmp_path: Path, intake: Any) -> None:
    body = """
with ams.task("parent"):
    pass
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])  # the child runs after the signal was sent
for number in range(20):
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
print("ended")
"""
    process = start(tmp_path, intake.url, body)

    stdout, stderr = process.communicate(timeout=60)

    assert (process.returncode, stdout) == (0, "ended\n"), stderr


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_sigterm_ends_a_worker_whose_main_thread_waits_and_was_not_interrupted(tmp_path: Path, intake: Any, method: str) -> None:
    body = f"""
def state(thread):
    return open(f"/proc/self/task/{{thread}}/stat").read().rsplit(")", 1)[1].split()[0]
def signal_this_thread(main):
    while state(main) != "S":
        time.sleep(0.01)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Event().wait()
def work():
    with ams.task("work"):
        pass
    lock = multiprocessing.Lock()
    lock.acquire()
    threading.Thread(target=signal_this_thread, args=(threading.get_native_id(),), daemon=True).start()
    lock.acquire()
if __name__ == "__main__":
    process = multiprocessing.get_context("{method}").Process(target=work)
    process.start()
    process.join(50)
    print(process.exitcode)
    process.kill()
"""
    process = start(tmp_path, intake.url, body)

    stdout, stderr = process.communicate(timeout=90)

    assert stdout == f"{-signal.SIGTERM}\n", stderr
    assert intake.steps()["work"].status == "ok"


def test_a_signal_handler_takes_no_lock_that_the_interrupted_code_holds(tmp_path: Path, intake: Any) -> None:
    body = """
from ams.sending.client import current_client
with ams.task("task"):
    pass
sender = current_client().sender
with sender._wake._cond:  # what the main thread holds when SIGTERM arrives in the middle of Event.set
    os.kill(os.getpid(), signal.SIGTERM)
"""
    process = start(tmp_path, intake.url, body)

    process.communicate(timeout=30)

    assert process.returncode == -signal.SIGTERM


def test_sigterm_ends_open_steps_as_cancelled(tmp_path: Path, intake: Any) -> None:
    body = """
with ams.task("task"), ams.step("tool", type="tool"), ams.llm("answer") as answer:
    answer.delta("so far")
    print("ready", flush=True)
    threading.Event().wait()
"""
    process = start(tmp_path, intake.url, body)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    process.terminate()
    process.communicate(timeout=30)

    assert process.returncode == -signal.SIGTERM
    steps = intake.steps()
    assert {name: step.status for name, step in steps.items()} == dict.fromkeys(("task", "tool", "answer"), "cancelled")
    assert steps["answer"].error.type == "SIGTERM"
    assert intake.payload("answer", "output").text == "so far"
    [task] = intake.tasks().values()
    assert task.status == "cancelled"


@pytest.mark.parametrize("executor", ["ThreadPoolExecutor", "ProcessPoolExecutor"])
def test_an_executor_is_left_without_hanging(tmp_path: Path, intake: Any, executor: str) -> None:
    body = f"""
multiprocessing.set_start_method("fork")
def work(number):
    with ams.step("work"):
        return number
if __name__ == "__main__":
    with ams.task("task"), concurrent.futures.{executor}(2) as pool:
        assert list(pool.map(work, range(20))) == list(range(20))
"""
    process = start(tmp_path, intake.url, body)

    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 0, stderr
    assert len([event for event in intake.events() if getattr(event, "step", None) is not None and event.step.name == "work"]) >= 20


def test_children_forked_while_the_sender_connects_deliver_their_steps(tmp_path: Path, intake: Any) -> None:
    body = """
with ams.task("parent"):
    pass
children = []
for number in range(20):
    pid = os.fork()
    if pid == 0:
        with ams.task(f"child {number}"):
            pass
        os._exit(0)
    children.append(pid)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
"""
    process = start(tmp_path, intake.url.replace("127.0.0.1", "localhost"), body)

    _, stderr = process.communicate(timeout=90)

    assert process.returncode == 0, stderr
    assert {step for step in intake.steps() if step.startswith("child")} == {f"child {number}" for number in range(20)}


def test_the_end_says_how_many_steps_were_not_delivered(tmp_path: Path) -> None:
    process = start(tmp_path, "http://127.0.0.1:9", 'with ams.task("task"), ams.step("a"), ams.step("b"):\n    pass\n')

    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 0
    assert stderr.splitlines()[-1].startswith("AMS: 3 steps were not delivered to http://127.0.0.1:9 (")
    assert "They are in the spool" in stderr
