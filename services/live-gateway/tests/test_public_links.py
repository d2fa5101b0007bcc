"""Visitors of public links follow one task, without what their link does not show, until the link is revoked."""

import secrets
import time
import uuid
from typing import Any

import httpx
import msgspec
import pytest

from ams_contracts.claims import SHARE_AUDIENCE, IdentityChanged, Role, ShareClaims
from ams_contracts.documents import Status, StepDocument, StepType
from ams_contracts.events import Batch, LogLine, Producer, ScoreRecorded, StepProgressed, StepRecorded
from ams_contracts.topics import task_key
from ams_kit.bus import Record

PUBLIC_URL = "http://localhost:8080"


def a_link(live: Any, project_id: str, task_id: str, *, payloads: bool = False) -> tuple[str, ShareClaims]:
    """A token of a new public link, and its claims."""
    link = str(uuid.uuid4())
    now = int(time.time())
    claims = ShareClaims(
        iss=PUBLIC_URL,
        aud=SHARE_AUDIENCE,
        sub=link,
        sid=link,
        jti=secrets.token_hex(8),
        iat=now,
        exp=now + 600,
        project_id=project_id,
        task_id=task_id,
        payloads=payloads,
    )
    live.identity.roles[f"share:{link}", project_id] = Role.VIEWER
    return live.identity.token(claims), claims


async def ticket_answer(live: Any, token: str, project_id: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}", headers={"Authorization": f"Bearer {token}"}) as http:
        return await http.post("/api/live/tickets", json={"project_id": project_id})


async def ticket(live: Any, token: str, project_id: str) -> str:
    return (await ticket_answer(live, token, project_id)).raise_for_status().json()["ticket"]


def a_batch(project_id: str, task_id: str) -> bytes:
    of = lambda number: {"event_id": secrets.token_hex(16), "seq": number, "at_us": number}  # noqa: E731
    step = StepDocument(type=StepType.TOOL, name="fetch", status=Status.OK, preview_input="CONTENT", user_id="SECRET")
    events = [
        StepRecorded(**of(1), step_id="a" * 16, step=step),
        StepProgressed(**of(2), logs=[LogLine(step_id="a" * 16, text="CONTENT")]),
        ScoreRecorded(**of(3), score_id="SECRET", name="SECRET", source="human"),
    ]
    producer = Producer(sdk="ams", instance_id="SECRET", host="SECRET")
    return msgspec.json.encode(Batch(v=1, project_id=project_id, task_id=task_id, producer=producer, events=events))


@pytest.mark.parametrize("payloads", [True, False])
async def test_a_visitor_follows_the_task_and_sees_what_the_link_shows(live: Any, project_id: str, task_id: str, payloads: bool) -> None:
    token, _ = a_link(live, project_id, task_id, payloads=payloads)
    record = Record(topic=live.steps, key=task_key(project_id, task_id), value=a_batch(project_id, task_id))
    first = (await live.log.publish([record], timeout_seconds=10))[0]

    async with live.client(project_id) as member, live.client(project_id, ticket=await ticket(live, token, project_id)) as visitor:
        before = str(first).rpartition(".")[0] + "." + str(int(str(first).rpartition(".")[2]) - 1)
        for client in (member, visitor):
            assert (await client.subscribe(task_id, before))["op"] == "subscribed"
            await client.steps(1)  # from the ring
        await live.log.publish([record], timeout_seconds=10)
        shown = msgspec.json.encode(await visitor.steps(2)).decode()
        complete = msgspec.json.encode(await member.steps(2)).decode()

    assert shown.count("fetch") == complete.count("fetch") == 2
    assert "SECRET" in complete
    assert "SECRET" not in shown
    assert shown.count("CONTENT") == (complete.count("CONTENT") if payloads else 0)


async def test_a_visitor_follows_nothing_else(live: Any, project_id: str, task_id: str) -> None:
    token, claims = a_link(live, project_id, task_id)
    other_project = str(uuid.uuid4())
    live.identity.roles[f"share:{claims.sub}", other_project] = Role.VIEWER
    assert (await ticket_answer(live, token, other_project)).status_code == 404

    async with live.client(project_id, ticket=await ticket(live, token, project_id)) as visitor:
        assert (await visitor.subscribe(secrets.token_hex(16)))["code"] == "not_shared"
        request = await visitor.send(op="subscribe", list=True)
        refused = await visitor.receive_until(lambda frame: frame.get("id") == request)
        assert refused[-1]["code"] == "not_shared"


async def test_revoking_a_link_closes_its_sockets_and_ends_its_tokens(live: Any, project_id: str, task_id: str) -> None:
    token, claims = a_link(live, project_id, task_id)
    other, _ = a_link(live, project_id, task_id)
    unused = await ticket(live, token, project_id)
    async with (
        live.client(project_id, ticket=await ticket(live, token, project_id)) as visitor,
        live.client(project_id, ticket=await ticket(live, other, project_id)) as stays,
    ):
        # as identity announces it: the link is the session of its tokens
        await live.announce(IdentityChanged(kind="session.revoked", user_id=str(uuid.uuid4()), session_id=claims.sid))

        assert await visitor.close_code() == 4401
        assert (await stays.subscribe(task_id))["op"] == "subscribed"
    assert (await ticket_answer(live, token, project_id)).status_code == 401
    assert (await live_refusal(live, project_id, unused)) == 401


async def live_refusal(live: Any, project_id: str, used: str) -> int:
    """The status of the response to a handshake that is refused."""
    async with httpx.AsyncClient() as http:
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Protocol": f"ams.v1, ticket.{used}",
            "Host": "localhost:8080",
        }
        return (await http.get(f"http://127.0.0.1:{live.port}/api/live", headers=headers)).status_code


async def test_a_visitor_is_disconnected_when_access_ends(live: Any, project_id: str, task_id: str) -> None:
    token, claims = a_link(live, project_id, task_id)
    async with live.client(project_id, ticket=await ticket(live, token, project_id)) as visitor:
        live.identity.roles.pop((f"share:{claims.sub}", project_id))
        # its author left the project: identity names the author, not the link
        await live.announce(IdentityChanged(kind="access.changed", user_id=str(uuid.uuid4()), project_id=project_id))

        assert await visitor.close_code() == 4401
