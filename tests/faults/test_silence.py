"""Agents that fall silent, ends without starts, parents that never come: the right states over REST, and the same from the log alone."""

import asyncio
import secrets
import time
from typing import Any

import pytest
from tests.builders import NATIVE, beat, document, ended, started, step_id, task_ended, task_id, task_started
from tests.client import Account, Project, eventually
from tests.faults.account import postgres_url
from tests.faults.load import otlp
from tests.faults.rebuilt import rebuild, rows_of
from tests.installation import Platform

from ams_contracts.codec import encode
from ams_contracts.documents import Status, TaskDocument
from ams_contracts.events import Event
from ams_contracts.native import NativeBatch, NativeRequest

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(240)]
LOST_SECONDS = 100  # 30 s of silence, a sweep every 5 s, and a loaded machine
NO_ROOT_SECONDS = 130  # 60 s instead of 30
RUNNING = document(status=Status.RUNNING)
SILENT, COMES_BACK, ENDS_ONLY, ENDS_FIRST, ENDED_EARLY, NEVER_BEAT = range(1, 7)


def say(project: Project, task: int, *events: Event) -> None:
    request = NativeRequest(batches=[NativeBatch(task_id=task_id(task), producer=NATIVE, events=list(events))])
    answer = project.post("/v1/batches", encode(request), **{"Content-Type": "application/json"}).raise_for_status()
    assert answer.json() == {"accepted": len(events), "rejected": []}, answer.text


def task(status: Status) -> TaskDocument:
    return TaskDocument(name="work", status=status, started_at_us=RUNNING.started_at_us)


def status(project: Project, number: int) -> str | None:
    return {one["task_id"]: one["status"] for one in project.items("tasks")}.get(task_id(number))


def steps(project: Project, number: int) -> dict[str, str]:
    return {one["step_id"]: one["status"] for one in project.items(f"tasks/{task_id(number)}/steps")}


def is_lost(project: Project, *numbers: int) -> bool:
    return all(status(project, number) == "lost" for number in numbers)


def parents(project: Project, task_id: str) -> dict[str, Any]:
    skeleton = project.get(f"tasks/{task_id}/skeleton")
    return {"parent": skeleton["columns"]["parent"], "missing": list(skeleton["missing_parents"].values())}


def same_from_the_log(platform: Platform, project: Project) -> None:
    bootstrap, admin = f"127.0.0.1:{platform.port_of('kafka')}", postgres_url(platform, "postgres")

    async def both() -> tuple[Any, Any]:
        url = await rebuild(bootstrap, admin, f"rebuilt_{secrets.token_hex(4)}")
        return await rows_of(postgres_url(platform), project.id), await rows_of(url, project.id)

    served, rebuilt = asyncio.run(both())
    assert served == rebuilt


def test_what_is_silent_is_lost_and_comes_back_and_what_ended_has_ended(platform: Platform) -> None:
    project = Account(platform.url).project()
    now = time.time_ns() // 1_000
    for silent in (SILENT, COMES_BACK):
        say(project, silent, task_started(task(Status.RUNNING)), started(1, RUNNING, seq=2), beat(1, seq=3, at_us=now))
    say(project, ENDS_ONLY, ended(1, document(), seq=2), task_ended(task(Status.OK)))
    say(project, ENDS_FIRST, ended(1, document(status=Status.ERROR), seq=3), started(1, RUNNING, seq=2), task_started(task(Status.RUNNING)))
    say(
        project,
        ENDED_EARLY,
        task_started(task(Status.RUNNING)),
        started(1, RUNNING, seq=2),
        beat(1, seq=3, at_us=now),
        task_ended(task(Status.OK)),
    )
    say(project, NEVER_BEAT, task_started(task(Status.RUNNING)), started(1, RUNNING, seq=2))

    assert eventually(lambda: status(project, NEVER_BEAT), lambda found: found is not None) == "running"
    assert (status(project, SILENT), steps(project, SILENT)) == ("running", {step_id(1): "running"})
    assert (status(project, ENDS_ONLY), steps(project, ENDS_ONLY)) == ("ok", {step_id(1): "ok"})
    assert (status(project, ENDS_FIRST), steps(project, ENDS_FIRST)) == ("running", {step_id(1): "error"})
    assert (status(project, ENDED_EARLY), steps(project, ENDED_EARLY)) == ("ok", {step_id(1): "running"})

    assert eventually(lambda: is_lost(project, SILENT, COMES_BACK), bool, LOST_SECONDS)
    assert steps(project, SILENT) == {step_id(1): "lost"}
    assert (status(project, ENDED_EARLY), steps(project, ENDED_EARLY)) == ("ok", {step_id(1): "lost"})
    assert (status(project, NEVER_BEAT), steps(project, NEVER_BEAT)) == ("running", {step_id(1): "running"})

    say(project, COMES_BACK, beat(1, seq=4, at_us=time.time_ns() // 1_000))
    assert eventually(lambda: status(project, COMES_BACK), lambda found: found == "running") == "running"
    say(
        project,
        COMES_BACK,
        ended(1, document(), seq=5, at_us=time.time_ns() // 1_000),
        task_ended(task(Status.OK), at_us=time.time_ns() // 1_000),
    )
    assert eventually(lambda: status(project, COMES_BACK), lambda found: found == "ok") == "ok"
    assert steps(project, COMES_BACK) == {step_id(1): "ok"}
    same_from_the_log(platform, project)


def test_a_parent_that_is_not_here_yet_is_said_and_found_when_it_comes(platform: Platform) -> None:
    project = Account(platform.url).project()
    trace, root, children = secrets.token_hex(16), secrets.token_hex(8), [secrets.token_hex(8) for _ in range(3)]

    def post(*spans: str) -> None:
        project.post(
            "/v1/traces", otlp(trace, root, list(spans), 1_790_000_000_000_000_000), **{"Content-Type": "application/json"}
        ).raise_for_status()

    post(*children)
    found = eventually(lambda: {one["task_id"]: one for one in project.items("tasks")}.get(trace), bool)
    assert (found["status"], found["steps"]) == ("running", 3)
    assert parents(project, trace) == {"parent": [-2, -2, -2], "missing": [root, root, root]}

    post(root)

    found = eventually(lambda: project.get(f"tasks/{trace}")["task"], lambda one: one["steps"] == 4)
    assert (found["status"], found["name"]) == ("ok", "run")
    assert min(parents(project, trace)["parent"]) == -1
    assert parents(project, trace)["missing"] == []
    same_from_the_log(platform, project)


@pytest.mark.long
def test_a_task_whose_root_never_comes_is_shown_by_its_steps(platform: Platform) -> None:
    project = Account(platform.url).project()
    trace, root = secrets.token_hex(16), secrets.token_hex(8)
    body = otlp(trace, root, [secrets.token_hex(8)], 1_790_000_000_000_000_000)
    project.post("/v1/traces", body, **{"Content-Type": "application/json"}).raise_for_status()

    found = eventually(
        lambda: {one["task_id"]: one for one in project.items("tasks")}.get(trace), lambda one: one and one["flags"], NO_ROOT_SECONDS
    )

    assert (found["status"], found["flags"], found["name"]) == ("ok", ["no_root"], "chat")
    assert parents(project, trace) == {"parent": [-2], "missing": [root]}
