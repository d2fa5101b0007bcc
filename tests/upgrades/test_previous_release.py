"""A rolling upgrade: the services of the previous release and of this one, at once, on one log and on the same databases."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.client import Account, Project, eventually
from tests.faults.load import otlp
from tests.own_broker import free_ports
from tests.servers import HOST_VARIABLE, ask_host, begin_host, end_host
from tests.upgrades.release import ByPath, Release, until_ready

from ams_local import plan
from ams_local.addresses import check_postgres
from ams_local.data import Secrets
from ams_local.servers.base import LOOPBACK

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(600)]
PUBLIC_URL = "http://localhost:8080"
ROLES = ("ams_identity", "ams_owner", "ams_writer", "ams_reader")
TASKS = 24  # of one release or the other, each task by one of two projectors: that one of them gets none has a probability of 2 ** -23
FORBIDDEN = frozenset({401, 403, 404, 500})  # what a client gives up after


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[plan.Surroundings, plan.Surroundings]]:
    """The surroundings of the previous release and of this one: the same servers, which nobody else uses, and other ports."""
    monkeypatch.setenv(HOST_VARIABLE, "")  # begin_host sets it, and afterwards it is what it was
    host = begin_host()
    try:
        postgres = ask_host("postgres")
        kept = Secrets(
            secret_key=secrets.token_hex(16),
            service_secret=secrets.token_hex(16),
            postgres_password="",
            valkey_password="",
            role_passwords={role: secrets.token_hex(8) for role in ROLES},
        )

        def surroundings() -> plan.Surroundings:
            return plan.Surroundings(
                public_url=PUBLIC_URL,
                log_level="INFO",
                kafka=ask_host("kafka"),
                redis_url=ask_host("redis"),
                admin_url=postgres,
                database=check_postgres(postgres),
                ports=dict(zip(plan.PORT_NAMES, free_ports(len(plan.PORT_NAMES)), strict=True)),
                secrets=kept,
            )

        yield surroundings(), surroundings()
    finally:
        end_host(host)


def send(project: Project, count: int = 1) -> list[str]:
    """Spans over OTLP, each a task of its own; the ids of the tasks."""
    tasks = [secrets.token_hex(16) for _ in range(count)]
    for task_id in tasks:
        root = secrets.token_hex(8)
        project.post("/v1/traces", otlp(task_id, root, [root], 1), **{"Content-Type": "application/json"}).raise_for_status()
    return tasks


def listed(project: Project, tasks: list[str]) -> bool:
    return eventually(lambda: {one["task_id"] for one in project.items("tasks")} >= set(tasks), bool, 120)


def projected(where: plan.Surroundings) -> float:
    """Events that a projector has written since its start."""
    text = httpx.get(f"http://{LOOPBACK}:{where.ports['projector']}/metrics").raise_for_status().text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("ams_events_projected_total"))


def as_seen_by(project: Project, account: Account) -> Project:
    """The same project over the services of another release."""
    other = object.__new__(Project)
    other.http, other.id, other.key = account.http, project.id, project.key
    return other


def test_the_previous_release_serves_on_migrated_databases_and_this_one_before_they_are(
    both: tuple[plan.Surroundings, plan.Surroundings], tmp_path: Path
) -> None:
    old, new = both
    previous, here = Release.previous(), Release.here()
    previous.run_jobs(old)
    with previous.services(old, tmp_path), here.services(new, tmp_path):
        until_ready(old, "identity", "intake", "projector", "query")
        before = Account(PUBLIC_URL, transport=ByPath(old))
        project = before.project()
        tasks = send(project)
        assert listed(project, tasks)

        # this release on the databases of the previous one: it serves, or asks its clients to send again
        early = httpx.Client(base_url=PUBLIC_URL, transport=ByPath(new), timeout=30, headers={"Authorization": f"Bearer {project.key}"})
        for answer in (
            early.get("/api/projects", headers=dict(before.http.headers)),
            early.get(f"/api/traces/{project.id}/tasks"),
            early.post("/v1/traces", content=b'{"resourceSpans": []}', headers={"Content-Type": "application/json"}),
        ):
            assert answer.status_code not in FORBIDDEN, (answer.url, answer.text)
        tasks += send(project)  # one of the two projectors writes them, now or after the migration

        here.run_jobs(new)
        until_ready(new, "identity", "intake", "projector", "query")
        counts = projected(old), projected(new)

        again = Account(PUBLIC_URL, transport=ByPath(old))  # a sign-in, a project and a key of the previous release on the new tables
        later = Account(PUBLIC_URL, transport=ByPath(new))
        ours, theirs = later.project(), again.project()
        sent = send(ours, TASKS), send(theirs, TASKS), send(project)
        assert listed(theirs, sent[1])
        assert listed(project, tasks + sent[2])
        assert listed(as_seen_by(project, again_as(before, new)), tasks + sent[2])
        assert listed(ours, sent[0])
        assert listed(as_seen_by(ours, again_as(later, old)), sent[0])
        assert projected(old) > counts[0]
        assert projected(new) > counts[1]


def again_as(account: Account, where: plan.Surroundings) -> Account:
    """The same session over the services of another release: its access token is valid there, too."""
    other = object.__new__(Account)
    other.http = httpx.Client(base_url=PUBLIC_URL, transport=ByPath(where), timeout=60, headers=account.http.headers)
    return other
