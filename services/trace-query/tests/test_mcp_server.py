"""The MCP server, asked by the official client through the real routes and rows."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx2
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from ams_kit.testing.serving import serving

NOW_US = 1_782_043_200_000_000  # the clock of the application in these tests: 2026-06-21T12:00:00Z


@pytest.fixture
def url(make_query_app: Callable[..., Litestar]) -> Iterator[str]:
    with serving(make_query_app()) as address:
        yield address


@asynccontextmanager
async def client_of(url: str, credential: str, project: str = "") -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {credential}"}
    query = f"?project={project}" if project else ""
    async with (
        httpx2.AsyncClient(headers=headers, timeout=20) as http,
        Client(streamable_http_client(f"{url}/mcp{query}", http_client=http)) as client,
    ):
        yield client


class Asker:
    """Calls tools, each with a connection of its own: a client's connection must end in the task that began it."""

    def __init__(self, url: str, credential: str, project: str = "") -> None:
        self.connect = partial(client_of, url, credential, project)

    async def ask(self, tool: str, **arguments: Any) -> Any:
        """The typed answer, which is the text too."""
        async with self.connect() as client:
            result = await client.call_tool(tool, arguments)
        text = result.content[0].text
        assert not result.is_error, text
        assert json.loads(text) == result.structured_content
        return result.structured_content

    async def refusal(self, tool: str, **arguments: Any) -> str:
        """Why the tool refused."""
        async with self.connect() as client:
            result = await client.call_tool(tool, arguments)
        assert result.is_error
        return result.content[0].text.removeprefix(f"Error executing tool {tool}: ")


@pytest.fixture
def client(url: str) -> Asker:
    """Asks with a key that has the scope read."""
    return Asker(url, "ams_read")


async def a_trip(store: Any, **task: Any) -> tuple[str, dict[str, str]]:
    """A task: trip > plan (llm), search (tool), book (tool, failed)."""
    task_id = await store.task(name="trip", steps=4, errors=1, **task)
    trip = await store.step(task_id, type="agent", name="trip", seq=1, started_at_us=NOW_US - 9_000_000)
    plan = await store.step(task_id, type="llm", name="plan", seq=2, parent_step_id=trip, model="gpt-4o", input_tokens=812, output_tokens=164, duration_us=2_660_000, started_at_us=NOW_US - 8_000_000)  # fmt: skip
    search = await store.step(task_id, type="tool", name="search", seq=3, parent_step_id=trip, started_at_us=NOW_US - 7_000_000)
    book = await store.step(task_id, type="tool", name="book", seq=4, parent_step_id=trip, status="error", error_type="SoldOut", error_message="no seats", started_at_us=NOW_US - 6_000_000)  # fmt: skip
    return task_id, {"trip": trip, "plan": plan, "search": search, "book": book}


async def test_the_official_client_lists_read_only_tools_with_typed_answers(client: Asker) -> None:
    async with client.connect() as connected:
        tools = (await connected.list_tools()).tools

    assert [tool.name for tool in tools] == [
        "search_tasks",
        "search_steps",
        "task_tree",
        "step_detail",
        "compare_tasks",
        "recent_errors",
        "statistics",
    ]
    assert all(tool.annotations.read_only_hint and tool.output_schema and tool.description for tool in tools)
    assert "context" not in json.dumps([tool.input_schema for tool in tools])


async def test_tasks_are_found_by_the_query_language_and_listed_page_by_page(client: Asker, store) -> None:
    tasks = [await store.task(name=f"trip {n}", status="error" if n == 1 else "ok", sort_at_us=NOW_US - n) for n in range(3)]

    failed = await client.ask("search_tasks", query="status:error")
    first = await client.ask("search_tasks", limit=2, hours=1)
    cursor = first["next"].removeprefix("More with cursor=")
    second = await client.ask("search_tasks", limit=2, hours=1, cursor=cursor)

    assert [task["task"] for task in failed["tasks"]] == [tasks[1]]
    assert [task["task"] for task in (*first["tasks"], *second["tasks"])] == tasks
    assert "next" not in second


async def test_a_mistake_in_a_query_is_answered_with_what_to_write(client: Asker) -> None:
    assert await client.refusal("search_steps", query="status:eror") == "'eror' is not a valid status. (column 8) Write: status:error"


async def test_a_tree_is_an_outline_that_leads_deeper(client: Asker, store) -> None:
    task_id, ids = await a_trip(store)
    for n in range(40):
        await store.step(
            task_id, type="tool", name=f"fetch {n}", seq=10 + n, parent_step_id=ids["search"], started_at_us=NOW_US - 5_000_000
        )

    answer = await client.ask("task_tree", task=task_id, tokens=150)
    deeper = await client.ask("task_tree", task=task_id, under=ids["search"], offset=25)

    assert answer["tree"].split("\n") == [
        f"agent trip [{ids['trip']}]",
        f"  llm plan, gpt-4o, 2.66 s, 812+164 tokens [{ids['plan']}]",
        f"  tool search [{ids['search']}] (+40 below)",
        f"  tool book, ERROR [{ids['book']}]",
    ]
    assert f"such as {ids['search']}" in answer["next"]
    assert deeper["tree"].startswith("tool fetch 25 [")
    assert deeper["of"] == 15
    assert "not in this task" in await client.refusal("task_tree", task=task_id, under="f" * 16)


async def test_a_step_is_read_in_pages(client: Asker, store) -> None:
    task_id, ids = await a_trip(store)
    await store.payload(task_id, ids["book"], "input", "0123456789" * 40)
    await store.payload(task_id, ids["book"], "error_stack", "Traceback")

    detail = await client.ask("step_detail", task=task_id, step=ids["book"], characters=200)
    rest = await client.ask("step_detail", task=task_id, step=ids["book"], slot="input", offset=395, characters=100)

    parts = {part["slot"]: part for part in detail["payloads"]}
    assert detail["step"]["error"] == "SoldOut: no seats"
    assert (parts["input"]["text"], parts["input"]["characters"]) == ("0123456789" * 10, 400)
    assert parts["error_stack"]["text"] == "Traceback"
    assert parts["output"]["absent"] == "not_captured"
    assert detail["next"] == "Read on with step_detail(slot=input, offset=100)"
    assert rest["payloads"] == [{"slot": "input", "text": "56789", "characters": 400, "from_character": 395}]
    assert "next" not in rest


async def test_two_tasks_are_compared_by_their_trees(client: Asker, store) -> None:
    a, ids_a = await a_trip(store)
    b, _ = await a_trip(store)
    extra = await store.step(b, type="tool", name="pay", seq=9, parent_step_id=None)

    found = await client.ask("compare_tasks", a=a, b=b)

    assert found["matched_steps"] == 4
    assert found["differences"] == [{"what": "only in b", "path": "pay", "b": f"tool pay [{extra}]"}]
    assert ids_a


async def test_recent_errors_are_grouped_with_their_latest_example(client: Asker, store) -> None:
    first, _ = await a_trip(store)
    second, ids = await a_trip(store)
    await store.step(second, status="error", affected=True, started_at_us=NOW_US)
    await store.step(first, status="error", name="old", started_at_us=NOW_US - 7_200_000_000)

    found = await client.ask("recent_errors")

    assert found["failed_steps"] == 2
    (group,) = found["groups"]
    assert (group["count"], group["name"], group["error"]) == (2, "book", "SoldOut: no seats")
    assert ids


async def test_statistics_are_those_of_the_route(client: Asker, ada) -> None:
    answer = await client.ask("statistics", group_by="model", hours=24)

    assert answer["groups"] == []
    assert answer["since"] < answer["until"]
    assert (await ada.get("statistics"))["items"] == []


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("task_tree", {}),
        ("step_detail", {"step": "1" * 16}),
        ("compare_tasks", {}),
    ],
)
async def test_a_task_of_another_project_is_not_found(client: Asker, foreign, tool: str, arguments: dict[str, str]) -> None:
    task_id = await foreign.task()
    ids = {"a": task_id, "b": task_id} if tool == "compare_tasks" else {"task": task_id}

    assert await client.refusal(tool, **ids, **arguments) == "No such task exists in this project."


async def test_lists_show_nothing_of_another_project(client: Asker, foreign) -> None:
    task_id = await foreign.task(sort_at_us=NOW_US, status="error")
    await foreign.step(task_id, status="error", started_at_us=NOW_US)

    assert (await client.ask("search_tasks"))["tasks"] == []
    assert (await client.ask("search_steps", query="status:error"))["steps"] == []
    assert (await client.ask("recent_errors"))["groups"] == []


async def test_an_id_that_is_none_leads_to_no_other_route(client: Asker) -> None:
    assert "is not an id" in await client.refusal("task_tree", task="../../agents?x=")
    assert "32 hex digits" in await client.refusal("task_tree", task="abc")


async def test_an_access_token_names_its_project(url: str, store, foreign) -> None:
    await store.task(name="mine", sort_at_us=NOW_US)

    mine = await Asker(url, "both", store.project_id).ask("search_tasks")
    other = await Asker(url, "both", foreign.project_id).ask("search_tasks")

    assert [task["name"] for task in mine["tasks"]] == ["mine"]
    assert other["tasks"] == []


CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize(
    ("credential", "query", "refusal"),
    [
        ("", "", (401, "unauthenticated")),
        ("ams_ingest", "", (403, "scope_missing")),
        ("ams_unknown", "", (401, "unauthenticated")),
        ("ada", "", (400, "project_required")),
        ("eve", "?project={mine}", (404, "project_not_found")),
        ("ams_read", "?project={other}", (404, "project_not_found")),
        ("ada", "?project=x", (404, "project_not_found")),
        ("ams_read", "?other=1", (400, "unknown_parameter")),
        ("ams_read", "?project=%ff", (400, "unknown_parameter")),
    ],
)
async def test_who_may_not_connect_is_refused_with_a_problem(
    http: AsyncTestClient[Litestar], store, foreign, *, credential: str, query: str, refusal: tuple[int, str]
) -> None:
    headers = ACCEPT | ({"Authorization": f"Bearer {credential}"} if credential else {})
    path = "/mcp" + query.format(mine=store.project_id, other=foreign.project_id)

    answer = await http.post(path, json=CALL, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == refusal, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_only_post_is_answered(http: AsyncTestClient[Litestar], method: str) -> None:
    answer = await http.request(method, "/mcp", headers={"Authorization": "Bearer ams_read", **ACCEPT})

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 20_000,
        b'{"jsonrpc": "2.0"}',
        b"[]",
        b"null",
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}',
    ],
)
async def test_a_body_that_is_no_request_is_refused_clearly(http: AsyncTestClient[Litestar], body: bytes) -> None:
    headers = {"Authorization": "Bearer ams_read", "Content-Type": "application/json", **ACCEPT}

    answer = await http.post("/mcp", content=body, headers=headers)

    assert answer.status_code == 400 or "error" in answer.json(), answer.text


async def test_a_body_that_is_too_large_is_refused(http: AsyncTestClient[Litestar]) -> None:
    headers = {"Authorization": "Bearer ams_read", "Content-Type": "application/json", **ACCEPT}

    answer = await http.post("/mcp", content=b" " * 70_000, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
