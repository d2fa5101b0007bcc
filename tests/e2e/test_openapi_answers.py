"""Requests generated from the OpenAPI documents of all services, over the gateway: no 5xx, and every answer is as its document declares."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from requests.adapters import HTTPAdapter
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.client import Account
from tests.installation import Platform

pytestmark = pytest.mark.xdist_group("platform")

DOCUMENTS = ("auth", "traces", "ingest", "live")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ENDS_WHAT_OTHERS_NEED = (
    "DELETE /api/projects/{project}",
    "DELETE /api/users/me/sessions",
    "POST /api/auth/oidc/own/end",
    "POST /api/auth/logout",
)  # asked last
FAULTS_MAX = 40  # listed
OTHER_ADDRESS = "127.0.0.2"  # the attempts of an address are limited: those generated here must not count as those of other tests


class FromOtherAddress(HTTPAdapter):
    """Connects from ``OTHER_ADDRESS``."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, source_address=(OTHER_ADDRESS, 0))


def operations(url: str) -> Iterator[APIOperation]:
    """Every operation of every service, those that end the project or the session last."""
    found: dict[str, APIOperation] = {}
    for name in DOCUMENTS:
        schema = schemathesis.openapi.from_url(f"{url}/api/{name}/openapi/openapi.json")
        found |= {one.ok().label: one.ok() for one in schema.get_all_operations()}
    yield from sorted(found.values(), key=lambda one: ENDS_WHAT_OTHERS_NEED.index(one.label) if one.label in ENDS_WHAT_OTHERS_NEED else -1)


def faults_of(
    operation: APIOperation, session: requests.Session, own: dict[str, str], mode: GenerationMode, *, examples: int, seen: set[int]
) -> set[str]:
    """What is wrong with the answers to generated requests. ``own`` replaces parameters of the path in every second request; ``seen`` gets the statuses."""
    faults: set[str] = set()
    count = 0

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case) -> None:
        nonlocal count
        count += 1
        if count % 2:
            case.path_parameters |= {name: value for name, value in own.items() if name in case.path_parameters}
        response = case.call(session=session, timeout=30)
        seen.add(response.status_code)
        try:
            case.validate_response(response, checks=CHECKS, headers=dict(session.headers))
        except FailureGroup as group:
            faults.update(
                f"{operation.label}: {response.status_code} {type(one).__name__} {' '.join(str(one).split())[:300]}"
                for one in group.exceptions
            )

    ask()
    return faults


def all_faults(url: str, examples: int) -> list[str]:
    """Ask as the owner of a project, as an agent with a key, and without a credential."""
    account = Account(url)
    project = account.project()
    user = account.http.get("/api/users/me").raise_for_status().json()["user_id"]
    own = {"project": project.id, "user": user, "task": secrets.token_hex(16), "step": secrets.token_hex(8)}
    credentials = {
        "nobody": None,
        "key": f"Bearer {project.key}",
        "owner": str(account.http.headers["Authorization"]),
    }
    found: set[str] = set()
    seen: set[int] = set()
    for operation in operations(url):
        for who, credential in credentials.items():
            session = requests.Session()
            session.mount(url, FromOtherAddress())
            session.headers.update({"Authorization": credential} if credential else {})
            faults = faults_of(
                operation, session, own, GenerationMode.POSITIVE, examples=examples if who == "owner" else max(examples // 8, 1), seen=seen
            )
            if who == "owner" and (operation.body or operation.query or operation.path_parameters):
                faults |= faults_of(operation, session, own, GenerationMode.NEGATIVE, examples=examples, seen=seen)
            found |= {f"{who}, {fault}" for fault in faults}
    assert {200, 204, 400, 401, 403, 404, 415, 422} <= seen, sorted(seen)
    return sorted(found)


@pytest.mark.timeout(600)
def test_every_answer_to_generated_requests_is_declared(platform: Platform) -> None:
    faults = all_faults(platform.url, examples=4)

    assert faults[:FAULTS_MAX] == []


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_every_answer_to_many_generated_requests_is_declared(platform: Platform) -> None:
    faults = all_faults(platform.url, examples=200)

    assert faults[:FAULTS_MAX] == []
