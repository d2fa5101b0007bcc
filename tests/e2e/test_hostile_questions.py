"""Hostile questions and bodies over the gateway: a problem with its status, never 500, and never slow."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from tests.client import Account, Project
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(180)]
SLOW_SECONDS = 5
HEX = "a" * 32
LISTS = ("tasks", "steps", "agents")
LIMITS = ("0", "-1", "501", "1e3", "0x10", "NaN", "", "9" * 400, "9" * 5_000, "1.0", "%00", "%205", "%2B5", "%D9%A5", "1_0")
CURSORS = ("x", "%00", "A" * 5_000, "e30", "bnVsbA", "W10", "W1swXV0", "%ff", "..")
BAD_QUERIES = (
    "%ff", "%00", "a" * 4_097, "%ed%a0%80", "(" * 3_000, quote("NOT " * 900 + "a"), "a%20OR", "status:", "latency:>abc", "latency:>-1",
    "latency:>1e309", "latency:>NaN", "tokens:1.5", "type:/(a%2B)%2B$/", "unknown:1", "%22", "((a)", "%22abc", "cost:>1e999", "cost:>" + "9" * 3_000,
    "status%22;drop:x", quote("a " * 33),
)  # fmt: skip
ODD_QUERIES = ("", "%25", "_", "*", "-a", quote("'; drop table steps;--"), quote('"%s %(x)s :x $1"'), quote('"a&b|!c:*<->"'), "model:" + "*" * 100,
               "tag.__proto__:x", "%F0%9F%98%80", "%E6%97%A5", quote("\u202e\ufffe"))  # fmt: skip
TIMES = (
    "2026-01-01T00:00:00",
    "x",
    "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:60Z",
    "0000-01-01T00:00:00Z",
    "-1",
    "1e400",
    "2026-01-01T00:00:00%2B99:99",
)
PLACES = (
    "x", "ams.steps.v1/0/0", "ams.steps.v1/0/0/0/0", "ams.steps.v1/99999999999999999999/0/0", "ams.steps.v1/0/99999999999999999999/0",
    "ams.steps.v1/-1/-1/-1", "%00/1/1/1", "ams.steps.v1/1e3/0/0", "ams.steps.v1/%D9%A1/0/0", "ams.steps.v1/" + "9" * 5_000 + "/0/0", "ams.steps.v1/2147483648/0/0",
    "ams.steps.v1/0/0/9223372036854775808", "ams.steps.v1/1_0/0/0",
)  # fmt: skip
TASKS = ("x", "A" * 32, "0" * 32, "%00", "..%2f..", "a" * 5_000, "a" * 31 + "%0a", "%ff", HEX + "%00")
PROJECTS = ("x", "%00", "%ff", "%2e%2e%2f", "0" * 36, "a" * 5_000, quote("' or 1=1"), "*")
BODIES = (
    b"", b"null", b"[]", b"{}x", b'{"a":', b"\xed\xa0\x80", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"[" * 60_000, b'{"a":' * 9_000,
    b'{"name":"\\u0000"}', b'{"name":"\\ud800"}', b'{"name":' + b"9" * 3_000 + b"}", b'{"name":1e999}', b'{"name":["a"]}', b'{"name":""}', b'{"project_id":"\\u0000"}',
    b'{"project_id":1}', b'{"login":"\\u0000","password":"x"}', b'{"code":"\\u0000"}', b'{"api_key":"\\u0000"}', b'{"api_key":"ams_\xc3\xa9_x"}',
    b'{"username":"x","role":"god"}', b'{"name":"' + b"x" * 70_000 + b'"}',
)  # fmt: skip


@pytest.fixture(scope="module")
def project(platform: Platform) -> Project:
    return Account(platform.url).project()


def questions(project: str) -> Iterator[tuple[str, str, set[int]]]:
    traces, letters = f"/api/traces/{project}", f"/api/ingest/{project}/dead-letters"
    refused, missing = {400, 414, 431}, {400, 404, 414, 431}
    for name in LISTS:
        yield from (("GET", f"{traces}/{name}?limit={value}", refused) for value in LIMITS)
        yield from (("GET", f"{traces}/{name}?cursor={value}", refused) for value in CURSORS)
        yield from (("GET", f"{traces}/{name}?{value}", refused) for value in ("limit=1&limit=2", "foo=1", f"project_id={project}"))
    for name in ("tasks", "steps"):
        yield from (("GET", f"{traces}/{name}?q={value}", refused) for value in BAD_QUERIES)
        yield from (("GET", f"{traces}/{name}?q={value}", {200, 400}) for value in ODD_QUERIES)
        yield from (("GET", f"{traces}/{name}?from={value}", refused) for value in TIMES)
        yield "GET", f"{traces}/{name}?from=1926-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", refused
        yield "GET", f"{traces}/{name}?from=2027-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", refused
    for task in TASKS:
        yield from (("GET", f"{traces}/tasks/{task}{more}", missing) for more in ("", "/skeleton", "/steps", "/steps/" + "a" * 16))
        yield "DELETE", f"/api/ingest/{project}/tasks/{task}", missing
    yield from (("GET", f"{traces}/tasks/{HEX}/steps?step_id={value}", missing) for value in ("x", "", ",".join(["a" * 16] * 201), "%00"))
    yield from (("GET", f"{letters}/{place}", missing) for place in PLACES)
    yield from (("POST", f"{letters}/{place}", missing) for place in PLACES)
    yield from (("GET", f"{letters}?cursor={at}/{place}", {400, 414, 431}) for at in ("1", "-1", "9" * 30) for place in PLACES)
    for other in PROJECTS:
        yield from (
            ("GET", path.format(other), missing)
            for path in ("/api/traces/{}/tasks", "/api/ingest/{}/dead-letters", "/api/projects/{}/keys")
        )


def test_every_question_is_answered_by_a_problem_of_its_own(project: Project) -> None:
    wrong: list[str] = []
    for method, path, expected in questions(project.id):
        begin = time.monotonic()
        answer = project.http.request(method, path)
        if answer.status_code not in expected or time.monotonic() - begin > SLOW_SECONDS:
            wrong.append(f"{method} {path[:150]}: {answer.status_code} {answer.text[:80]}")
        elif answer.status_code in {400, 404} and answer.headers["content-type"] != "application/problem+json":
            wrong.append(f"{method} {path[:150]}: {answer.headers['content-type']}")

    assert wrong == []


@pytest.mark.parametrize(
    "path",
    ["/api/projects", "/api/projects/{}/keys", "/api/projects/{}/members", "/api/live/tickets", "/api/users/me/password", "/api/auth/redeem", "/api/auth/token"],
)  # fmt: skip
def test_every_body_is_refused_by_a_problem_of_its_own(project: Project, path: str) -> None:
    address = path.format(project.id)
    wrong: list[Any] = []
    for body in BODIES:
        answer = project.http.post(address, content=body, headers={"Content-Type": "application/json"})
        if answer.status_code not in {400, 401, 404, 413, 422, 429} or answer.headers["content-type"] != "application/problem+json":
            wrong.append((body[:40], answer.status_code, answer.text[:80]))
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/json", "Content-Encoding": "gzip"}):
        answer = project.http.post(address, content=b"{}", headers=headers)
        if answer.status_code not in {415, 429}:
            wrong.append((headers, answer.status_code))

    assert wrong == []
