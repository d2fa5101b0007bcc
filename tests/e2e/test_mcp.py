"""A coding agent asks a running platform about a failing agent: through the gateway, and through ``ams mcp``."""

import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from tests import hostile_posts
from tests.client import Account, Project, eventually
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(180)]

AMS = str(Path(sys.executable).with_name("ams"))


class Failing:
    """A project with a task whose tool failed, and a key that may read it."""

    def __init__(self, platform: Platform) -> None:
        self.url = platform.url
        self.project: Project = Account(platform.url).project()
        body = {"name": "reader", "scopes": ["read"]}
        created = self.project.http.post(f"/api/projects/{self.project.id}/keys", json=body).raise_for_status()
        self.read_key: str = created.json()["key"]
        self.task, self.step = hostile_posts.trace_id(), os.urandom(8).hex()
        attributes = [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "execute_tool"}},
            {"key": "gen_ai.tool.name", "value": {"stringValue": "book_seat"}},
            {"key": "gen_ai.tool.call.arguments", "value": {"stringValue": json.dumps({"train": "ICE 42"})}},
        ]
        times = {"startTimeUnixNano": str(time.time_ns() - 2_000_000_000), "endTimeUnixNano": str(time.time_ns() - 1_000_000_000)}
        status = {"code": 2, "message": "sold out"}
        span = hostile_posts.span(self.task, spanId=self.step, name="execute_tool book_seat", attributes=attributes, status=status, **times)
        self.project.post("/v1/traces", hostile_posts.request(span), **{"Content-Type": "application/json"}).raise_for_status()
        eventually(lambda: self.project.http.get(f"/api/traces/{self.project.id}/tasks/{self.task}").status_code, lambda got: got == 200)


@pytest.fixture(scope="module")
def failing(platform: Platform) -> Failing:
    return Failing(platform)


@asynccontextmanager
async def over_http(failing: Failing) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {failing.read_key}"}
    http = httpx2.AsyncClient(headers=headers, timeout=30)
    async with http, Client(streamable_http_client(f"{failing.url}/mcp", http_client=http)) as client:
        yield client


@asynccontextmanager
async def over_stdio(failing: Failing) -> AsyncIterator[Client]:
    environment = {"AMS_ENDPOINT": failing.url, "AMS_API_KEY": failing.read_key, "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    async with Client(stdio_client(StdioServerParameters(command=AMS, args=["mcp"], env=environment))) as client:
        yield client


async def ask(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


@pytest.mark.parametrize("connect", [over_http, over_stdio])
async def test_a_debugging_session_finds_what_the_tool_was_asked(failing: Failing, connect: Any) -> None:
    async with connect(failing) as client:
        errors = await ask(client, "recent_errors")
        (group,) = errors["groups"]
        tree = await ask(client, "task_tree", task=group["task"])
        detail = await ask(client, "step_detail", task=group["task"], step=group["step"], slot="input")
        instructions = client.instructions or ""

    assert (group["task"], group["step"], group["count"]) == (failing.task, failing.step, 1)
    assert "sold out" in group["error"]
    assert "book_seat" in tree["tree"]
    assert "ERROR" in tree["tree"]
    assert "ICE 42" in detail["payloads"][0]["text"]
    assert "recent_errors" in instructions


def test_a_stranger_reads_nothing(platform: Platform, failing: Failing) -> None:
    stranger = Account(platform.url)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}

    answer = stranger.http.post(f"/mcp?project={failing.project.id}", json=call)
    ingest_key = httpx.post(f"{platform.url}/mcp", json=call, headers={"Authorization": f"Bearer {failing.project.key}"})
    page = httpx.post(
        f"{platform.url}/mcp", json=call, headers={"Authorization": f"Bearer {failing.read_key}", "Origin": "https://evil.example"}
    )

    assert (answer.status_code, answer.json()["code"]) == (404, "project_not_found")
    assert (ingest_key.status_code, ingest_key.json()["code"]) == (403, "scope_missing")
    assert (page.status_code, page.json()["code"]) == (403, "foreign_origin")
