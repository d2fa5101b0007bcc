"""Hostile posts over the gateway: each gets an answer of its own, none of them 500, and the good span behind them is visible at once."""

import json
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from tests import hostile_posts
from tests.client import Account, Project, eventually
from tests.hostile_posts import Case
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]
VISIBLE_SECONDS = 10  # a second on a machine that is not busy with other tests
MEMORY_BYTES_MAX = 400 * 1024 * 1024
GROUPS = [
    hostile_posts.deep,
    hostile_posts.shapes,
    hostile_posts.compressed,
    hostile_posts.bad_spans,
    hostile_posts.odd_spans,
    hostile_posts.requests_as_a_whole,
    hostile_posts.small_parts_by_the_million,
]


@pytest.fixture(scope="module")
def project(platform: Platform) -> Project:
    return Account(platform.url).project()


def status_of(project: Project, task: str) -> int:
    return project.http.get(f"/api/traces/{project.id}/tasks/{task}").status_code


def good_span_is_visible(project: Project) -> bool:
    task = hostile_posts.trace_id()
    posted = project.post("/v1/traces", hostile_posts.good_protobuf(task), **{"Content-Type": hostile_posts.PROTOBUF})
    return posted.status_code == 200 and eventually(lambda: status_of(project, task), lambda got: got == 200, VISIBLE_SECONDS) == 200


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_hostile_post_has_its_answer_and_the_next_good_span_is_stored(
    platform: Platform, project: Project, group: Callable[[], Iterator[Case]]
) -> None:
    intake = psutil.Process(int(platform.processes()["intake"]["pid"]))
    wrong: list[str] = []
    tasks: dict[str, str] = {}
    for case in group():
        content_type = {"Content-Type": case.content_type} if case.content_type else {}
        answer = project.post(case.path, case.body, **content_type, **case.headers)
        if answer.status_code not in case.status:
            wrong.append(f"{case.name}: {answer.status_code} {answer.text[:100]}")
        if answer.headers.get("Grpc-Status") != case.grpc_status:
            wrong.append(f"{case.name}: Grpc-Status {answer.headers.get('Grpc-Status')}")
        if case.rejected is not None and int(json.loads(answer.content)["partialSuccess"]["rejectedSpans"]) != case.rejected:
            wrong.append(f"{case.name}: {answer.text[:200]}")
        if answer.status_code == 200:
            tasks |= dict.fromkeys(case.good, case.name)

    assert good_span_is_visible(project)
    until = time.monotonic() + VISIBLE_SECONDS
    wrong += [
        f"{name}: not stored"
        for task, name in tasks.items()
        if eventually(lambda task=task: status_of(project, task), lambda got: got == 200, until - time.monotonic()) != 200
    ]
    assert wrong == []
    assert intake.memory_info().rss < MEMORY_BYTES_MAX
    assert int(platform.processes()["intake"]["restarts"]) == 0
