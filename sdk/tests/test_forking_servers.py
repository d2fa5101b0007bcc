"""Servers that fork their workers, as programs use them: what the workers trace arrives, however short they live."""

import os
import signal
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ams_local.environments import python_with

TASKS = 60

WEB = """
import os, ams
ams.init("ams_test", endpoint=os.environ["TEST_ENDPOINT"], agent="web", announce=False)
with ams.task("before the fork"):  # the sender connects while the workers are forked
    pass
def application(environ, start_response):
    with ams.task(environ["PATH_INFO"]), ams.step("inner") as step:
        step.log("answered")
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"done"]
"""
JOBS = """
import os, ams, celery
ams.init("ams_test", endpoint=os.environ["TEST_ENDPOINT"], agent="jobs", announce=False)
queue = os.environ["TEST_QUEUE"]
app = celery.Celery("jobs", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": queue, "data_folder_out": queue, "control_folder": queue + "/control"}
app.conf.task_ignore_result = True
@app.task
def job(number):
    with ams.task(f"/{number}"):
        pass
    os.write(1, b"done\\n")  # the worker turns what is printed into log records
"""


@pytest.fixture(scope="module")
def python() -> str:
    """An environment with gunicorn and celery, as locked."""
    return python_with("forking")


def surroundings(tmp_path: Path, url: str, program: str, **more: str) -> dict[str, str]:
    """The program in a folder, the SDK with its dependencies, and the address as a name: resolving it imports modules."""
    (tmp_path / "program.py").write_text(program)
    paths = [str(tmp_path), *(path for path in sys.path if path.endswith(("site-packages", "/src")))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TEST_ENDPOINT": url.replace("127.0.0.1", "localhost"), **more}


def assert_every_task_arrived(intake: Any, agent: str) -> None:
    found = {step.name: step.agent for step in intake.steps().values()}
    assert {name: found.get(name) for name in (f"/{number}" for number in range(TASKS))} == {f"/{number}": agent for number in range(TASKS)}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "options", [[], ["-k", "gthread", "--threads", "4"], ["--max-requests", "5"]], ids=["sync", "gthread", "max-requests"]
)
def test_gunicorn_workers_of_a_preloaded_application_deliver_every_task(
    tmp_path: Path, intake: Any, python: str, options: list[str]
) -> None:
    process = subprocess.Popen(
        [python, "-m", "gunicorn", "--preload", "--workers", "4", "--bind", "127.0.0.1:0", "--chdir", str(tmp_path), *options, "program:application"],
        env=surroundings(tmp_path, intake.url, WEB), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        address = next(line for line in process.stderr if "Listening at" in line).split("at: ")[1].split()[0]
        threading.Thread(target=process.stderr.read, daemon=True).start()

        def answer(number: int) -> bytes:
            with urllib.request.urlopen(f"{address}/{number}", timeout=60) as response:
                return response.read()

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(answer, range(TASKS))) == [b"done"] * TASKS
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()

    assert_every_task_arrived(intake, "web")


@pytest.mark.timeout(300)
def test_celery_workers_that_end_after_one_task_deliver_it(tmp_path: Path, intake: Any, python: str) -> None:
    queue = tmp_path / "queue"
    (queue / "control").mkdir(parents=True)
    environment = surroundings(tmp_path, intake.url, JOBS, TEST_QUEUE=str(queue))
    send = f"import program\nfor number in range({TASKS}): program.job.delay(number)"
    subprocess.run([python, "-c", send], env=environment, cwd=tmp_path, check=True)
    process = subprocess.Popen(
        [python, "-m", "celery", "-A", "program", "worker", "--pool=prefork", "--concurrency=3", "--max-tasks-per-child=1", "--loglevel=ERROR",
         "--without-gossip", "--without-mingle", "--without-heartbeat"],
        env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        done = 0
        while done < TASKS:
            line = process.stdout.readline()
            assert line, "the worker ended"
            done += line == "done\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    finally:
        process.kill()

    assert_every_task_arrived(intake, "jobs")
