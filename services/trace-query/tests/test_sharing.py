"""Visitors of public links: what they read of their task, and that they read nothing else."""

from datetime import date
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from ams_contracts.tables import media, task_media
from ams_trace_query.__main__ import openapi_text

HOSTILE = "CONTENT <script>"
STRUCTURE = ("tasks/{task}", "tasks/{task}/skeleton", "tasks/{task}/steps", "tasks/{task}/steps/{step}")
CONTENTS = (
    "tasks/{task}/payloads?step_id={step}&slots=input,original",
    "tasks/{task}/matches?text=content",
    "tasks/{task}/steps/{step}/logs",
    "media/{media}",
)


async def a_task(store: Any) -> dict[str, str]:
    """A task with contents, people and other tasks in every place that has room for them."""
    task = await store.task(
        preview=HOSTILE,
        preview_output=HOSTILE,
        error_type="HTTPError",
        error_message=HOSTILE,
        tags={"customer": HOSTILE},
        environment=HOSTILE,
        user_id="SECRET person",
        conversation_id="SECRET conversation",
        parent_task_id="dead" * 8,
        steps=1,
    )
    step = await store.step(
        task,
        preview_input=HOSTILE,
        preview_output=HOSTILE,
        error_type="HTTPError",
        error_message=HOSTILE,
        user_id="SECRET person",
        tags={"customer": HOSTILE},
        rest={"parameters": HOSTILE, "waiting_for": HOSTILE, "captured": ["input"]},
    )
    for slot in ("input", "output", "error_stack"):
        await store.payload(task, step, slot, HOSTILE)
    await store.payload(task, step, "original", '{"attributes": {"user.id": "SECRET"}, "resource": {"host.name": "SECRET"}}')
    data = b"GIF8 of CONTENT" + task.encode()
    digest = sha256(data).hexdigest()
    await store.insert(media, project_id=store.project_id, sha256=digest, mime="image/gif", bytes=len(data), data=data)
    await store.insert(task_media, project_id=store.project_id, sha256=digest, task_id=task, day=date(2026, 6, 21))
    return {"task": task, "step": step, "media": digest}


@pytest.mark.parametrize("payloads", [True, False])
async def test_a_visitor_reads_the_structure_and_contents_only_when_the_link_shows_them(store, visitor, payloads: bool) -> None:
    names = await a_task(store)
    reader = visitor(names["task"], payloads=payloads)

    shown = [await reader.answer(path.format(**names)) for path in STRUCTURE]
    contents = [await reader.answer(path.format(**names)) for path in CONTENTS]

    assert [one.status_code for one in shown] == [200] * len(STRUCTURE)
    text = "".join(one.text for one in shown)
    assert "draft" in text
    assert "SECRET" not in text + "".join(one.text for one in contents)
    assert "dead" * 8 not in text
    assert ("CONTENT" in text) is payloads
    assert [one.status_code for one in contents] == ([200] * 4 if payloads else [403, 403, 403, 404])
    detail = shown[-1].json()
    assert {one["absent"] for one in detail["payloads"]} == ({None} if payloads else {"not_shared"})
    assert detail["step"]["error"] == ({"type": "HTTPError", "message": HOSTILE} if payloads else {"type": "HTTPError"})


async def test_a_visitor_reads_no_other_task_and_no_media_of_one(store, foreign, visitor) -> None:
    own, other, abroad = await a_task(store), await a_task(store), await a_task(foreign)
    reader = visitor(own["task"], payloads=True)
    await store.execute("DELETE FROM g1.task_media WHERE task_id = $1", own["task"])

    for names in (other, abroad):
        for path in (*STRUCTURE, *CONTENTS[:3]):
            answer = await reader.answer(path.format(**names))
            assert (answer.status_code, answer.json()["code"]) == (404, "task_not_found"), path
    assert (await reader.answer(f"media/{other['media']}")).status_code == 404


async def test_a_visitor_is_not_found_in_another_project(http, foreign, visitor, store) -> None:
    own = await a_task(store)
    reader = visitor(own["task"], payloads=True)

    answer = await http.get(f"/api/traces/{foreign.project_id}/tasks/{own['task']}", headers=reader._headers)

    assert (answer.status_code, answer.json()["code"]) == (404, "project_not_found")


async def test_every_other_route_refuses_a_visitor(store, visitor, http) -> None:
    names = await a_task(store) | {"view": "x", "view_id": "x", "sha256": "a" * 64}
    reader = visitor(names["task"], payloads=True)
    open_to_visitors = {
        f"GET /api/traces/{{project}}/{path.partition('?')[0].replace('{media}', '{sha256}')}" for path in (*STRUCTURE, *CONTENTS)
    }
    refused: dict[str, int] = {}

    for path, methods in msgspec.json.decode(openapi_text())["paths"].items():
        for method in methods:
            name = f"{method.upper()} {path}"
            if name in open_to_visitors or not {"get", "post", "put", "delete"} & {method} or "health" in path:
                continue
            address = path.replace("{project}", store.project_id)
            for key, value in names.items():
                address = address.replace(f"{{{key}}}", value)
            refused[name] = (await http.request(method, address, headers=reader._headers)).status_code

    assert len(refused) > 15
    assert set(refused.values()) == {401}, refused
