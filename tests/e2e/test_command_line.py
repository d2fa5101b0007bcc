"""The commands that read a running platform, as a person and as a program call them."""

import json
import os
import secrets
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from tests import hostile_posts
from tests.client import Account, Project, eventually, patiently, sign_in
from tests.installation import Platform

from ams.testing import Cassette

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(180)]

AMS = str(Path(sys.executable).with_name("ams"))
PASSWORD = "correct horse battery staple 42"


class Desk:
    """A person's machine: a home folder, an account with a project, and two tasks of which the second failed."""

    def __init__(self, platform: Platform, home: Path) -> None:
        self.url = platform.url
        self.home = home
        self.user = f"u{secrets.token_hex(6)}"
        http = httpx.Client(base_url=platform.url, timeout=60)
        account = {"username": self.user, "email": f"{self.user}@example.com", "password": PASSWORD}
        patiently(lambda: http.post("/api/auth/register", json=account)).raise_for_status()
        http.headers["Authorization"] = f"Bearer {sign_in(http, self.user, PASSWORD)}"
        projects = http.get("/api/projects").raise_for_status().json()["items"]
        project_id = projects[0]["project_id"] if projects else http.post("/api/projects", json={"name": "p"}).json()["project_id"]
        self.project = Project(http, project_id)
        self.good, self.bad = self.trip(), self.trip("sold out")

    def trip(self, failure: str = "") -> str:
        """A task of three steps: trip > search, book; the time of its last span is now."""
        task, root = hostile_posts.trace_id(), os.urandom(8).hex()
        now = time.time_ns()
        times = {"startTimeUnixNano": str(now - 3 * 10**9), "endTimeUnixNano": str(now)}
        status = {"status": {"code": 2, "message": failure}} if failure else {}
        spans = [
            hostile_posts.span(task, spanId=root, name="trip", attributes=[], **times),
            hostile_posts.span(task, name="search", parentSpanId=root, **times),
            hostile_posts.span(task, name="book", parentSpanId=root, attributes=[], **times, **status),
        ]
        self.project.post("/v1/traces", hostile_posts.request(*spans), **{"Content-Type": "application/json"}).raise_for_status()
        path = f"/api/traces/{self.project.id}/tasks/{task}"
        eventually(lambda: self.project.http.get(path).json().get("task", {}).get("steps"), lambda steps: steps == 3)
        return task

    def environment(self, **more: str) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "AMS_ENDPOINT": self.url, **more}

    def ams(self, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [AMS, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False, env=self.environment(**more)
        )


@pytest.fixture(scope="module")
def desk(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    made = Desk(platform, tmp_path_factory.mktemp("home"))
    done = made.ams("login", "--user", made.user, stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    return made


def test_login_keeps_a_key_that_only_reads_in_a_file_of_the_owner(desk: Desk) -> None:
    path = desk.home / ".config" / "ams" / "credentials.json"
    (login,) = json.loads(path.read_text())["logins"].values()

    sent = httpx.post(f"{desk.url}/v1/traces", json={}, headers={"Authorization": f"Bearer {login['api_key']}"})

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sent.status_code == 403
    assert login["project_id"] == desk.project.id


def test_a_wrong_password_leaves_no_key_and_is_not_repeated(desk: Desk) -> None:
    done = desk.ams("login", "--user", desk.user, stdin="wrong password here\n", HOME="/nonexistent")

    assert done.returncode == 1
    assert "wrong password here" not in done.stderr + done.stdout


def test_show_prints_the_tree_with_the_failure(desk: Desk) -> None:
    done = desk.ams("show", desk.bad)

    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[0].startswith("trip: ")
    assert any(line.startswith("span trip") for line in lines[1:3])
    assert "ERROR" in next(line for line in lines if " book" in line)
    assert lines[-1] == f"{desk.url}/t/{desk.bad}"


def test_show_takes_the_address_of_a_page_and_prints_json_for_programs(desk: Desk) -> None:
    done = desk.ams("show", f"{desk.url}/t/{desk.good}", "--json")

    shown = json.loads(done.stdout)
    assert shown["task"]["task_id"] == desk.good
    assert {step["name"] for step in shown["steps"]} >= {"trip", "book"}
    assert json.loads(desk.ams("show", "latest", "--json").stdout)["task"]["task_id"] == desk.bad


@pytest.mark.parametrize(("task", "words"), [("abc", "is no task"), ("f" * 32, "No such task")])
def test_a_task_that_does_not_exist_is_an_error_for_programs_too(desk: Desk, task: str, words: str) -> None:
    done = desk.ams("show", task)

    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_diff_says_by_its_exit_code_whether_tasks_differ(desk: Desk) -> None:
    same = desk.ams("diff", desk.good, desk.good)
    other = desk.ams("diff", desk.good, desk.bad)
    trouble = desk.ams("diff", desk.good, "x")

    assert (same.returncode, other.returncode, trouble.returncode) == (0, 1, 2)
    assert "+ trip > book: ERROR" in other.stdout


def test_tail_prints_the_steps_of_its_query_as_they_end(desk: Desk) -> None:
    arguments = [AMS, "tail", "status:error name:book", "--json", "--limit", "1"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=desk.environment()) as following:
        assert following.stderr is not None
        assert following.stderr.readline() == f"following {desk.url}; Ctrl-C ends\n"
        desk.trip()
        tasks = [desk.trip("no seats") for _ in range(2)]
        output, errors = following.communicate(timeout=60)

    assert (following.returncode, errors) == (0, "")
    (line,) = output.splitlines()
    assert json.loads(line)["task_id"] in tasks
    assert json.loads(line)["name"] == "book"


def test_tail_refuses_a_wrong_query_at_once(desk: Desk) -> None:
    done = desk.ams("tail", "status:eror")

    assert done.returncode == 1
    assert "status:error" in done.stderr


def test_an_exported_task_is_imported_as_a_copy(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "task.jsonl"
    exported = desk.ams("export", desk.good, "-o", str(file))
    imported = desk.ams("import", str(file), "--copy", "--json", AMS_API_KEY=desk.project.key)

    answer: dict[str, Any] = json.loads(imported.stdout)
    assert exported.returncode == imported.returncode == 0, imported.stderr
    (copy,) = answer["tasks"]
    path = f"/api/traces/{desk.project.id}/tasks/{copy}"
    assert eventually(lambda: desk.project.http.get(path).json().get("task", {}).get("steps"), lambda steps: steps == 3) == 3
    assert copy != desk.good


def test_a_task_that_went_to_jaeger_and_back_is_the_same(desk: Desk, tmp_path: Path) -> None:
    file, other = tmp_path / "task.json", Account(desk.url).project("jaeger")
    exported = desk.ams("export", desk.bad, "--format", "jaeger", "-o", str(file))
    imported = desk.ams("import", str(file), "--json", AMS_API_KEY=other.key)

    assert exported.returncode == imported.returncode == 0, exported.stderr + imported.stderr
    fields = ("step_id", "parent_step_id", "name", "type", "status", "started_at_us", "duration_us", "preview_input")
    before, after = (
        lambda project=project: [[step[field] for field in fields] for step in project.items(f"tasks/{desk.bad}/steps")]
        for project in (desk.project, other)
    )
    assert len(before()) == 3
    assert eventually(
        lambda: after() if other.http.get(f"/api/traces/{other.id}/tasks/{desk.bad}").is_success else [], lambda rows: rows == before()
    )


def test_a_task_becomes_a_cassette_that_answers_its_calls(desk: Desk, tmp_path: Path) -> None:
    task, root = hostile_posts.trace_id(), os.urandom(8).hex()
    called = [{"role": "assistant", "parts": [{"type": "tool_call", "name": "search", "arguments": {"topic": "otters"}}]}]
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.output.messages": json.dumps(called)}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.arguments": '{"topic": "otters"}'}
    tool["gen_ai.tool.call.result"] = '["rivers"]'
    spans = [hostile_posts.span(task, spanId=root, name="planner", attributes=[])]
    for name, attributes in (("chat m", chat), ("search", tool)):
        texts = [hostile_posts.text(key, value) for key, value in attributes.items()]
        spans.append(hostile_posts.span(task, parentSpanId=root, name=name, attributes=texts))
    desk.project.post("/v1/traces", hostile_posts.request(*spans), **{"Content-Type": "application/json"}).raise_for_status()
    path = f"/api/traces/{desk.project.id}/tasks/{task}"
    eventually(lambda: desk.project.http.get(path).json().get("task", {}).get("steps"), lambda steps: steps == 3)
    file = tmp_path / "cassettes" / "otters.json"

    def write() -> int:
        return desk.ams("cassette", task, "-o", str(file)).returncode

    assert write() == 0
    # payloads are a projection of their own
    eventually(lambda: (write(), "rivers" in file.read_text(), "topic" in file.read_text())[1:], lambda found: found == (True, True))
    cassette = Cassette.load(file)
    reply = cassette.model.complete([])
    found = cassette.tool("search")(**reply.tool_calls[0].arguments)

    assert found == ["rivers"]
    cassette.assert_finished()


def test_doctor_finds_nothing_wrong_with_a_good_setup(desk: Desk) -> None:
    done = desk.ams("doctor", AMS_API_KEY=desk.project.key)

    assert done.returncode == 0, done.stdout
    assert f"sends steps to project {desk.project.id}" in done.stdout


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"AMS_API_KEY": ""}, "AMS_API_KEY is not set"),
        ({"AMS_API_KEY": "ams_wrong"}, "not valid"),
        ({"AMS_ENDPOINT": "http://127.0.0.1:9"}, "./ams up"),
        ({"AMS_ENDPOINT": "nonsense"}, "not the address of a server"),
        ({"OTEL_SDK_DISABLED": "true"}, "no span is made"),
    ],
)
def test_doctor_names_what_is_wrong(desk: Desk, environment: dict[str, str], words: str) -> None:
    done = desk.ams("doctor", **{"AMS_API_KEY": desk.project.key, **environment})

    assert done.returncode == 1
    assert words in done.stdout
    assert desk.project.key not in done.stdout + done.stderr


def test_a_key_that_only_sends_reads_nothing(desk: Desk) -> None:
    done = desk.ams("show", "latest", "--api-key", desk.project.key)

    assert done.returncode == 1
    assert "scope read" in done.stderr


def test_login_asks_for_the_code_of_an_account_with_a_second_factor(platform: Platform, tmp_path: Path) -> None:
    person = Desk(platform, tmp_path)
    http = person.project.http
    secret = http.post("/api/users/me/factors/app").raise_for_status().json()["secret"]
    codes = http.post("/api/users/me/factors/app/confirm", json={"code": pyotp.TOTP(secret).now()}).raise_for_status().json()["codes"]

    assert person.ams("login", "--user", person.user, stdin=f"{PASSWORD}\n000000\n").returncode == 1
    done = person.ams("login", "--user", person.user, stdin=f"{PASSWORD}\n{codes[0]}\n")

    assert done.returncode == 0, done.stderr
    assert person.ams("show", "latest").returncode == 0


def test_another_persons_login_finds_nothing(desk: Desk, platform: Platform, tmp_path: Path) -> None:
    other = Desk(platform, tmp_path)
    assert other.ams("login", "--user", other.user, stdin=f"{PASSWORD}\n").returncode == 0

    done = other.ams("show", desk.good)

    assert done.returncode == 1
    assert "No such task" in done.stderr
