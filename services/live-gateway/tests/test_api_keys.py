"""Programs follow tasks with an API key that has the scope ``read``; other keys are rejected."""

import time
import uuid
from typing import Any

import httpx

from ams_contracts.claims import IdentityChanged, Scope


async def ticket_answer(live: Any, key: str, project_id: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}", headers={"Authorization": f"Bearer {key}"}) as http:
        return await http.post("/api/live/tickets", json={"project_id": project_id})


async def ticket(live: Any, key: str, project_id: str) -> str:
    answer = await ticket_answer(live, key, project_id)
    assert answer.status_code == 201
    return answer.json()["ticket"]


async def test_a_key_with_the_scope_read_follows_a_task(live: Any, project_id: str, task_id: str) -> None:
    key, _ = live.identity.api_key(project_id, [Scope.READ])

    async with live.client(project_id, ticket=await ticket(live, key, project_id)) as client:
        assert (await client.subscribe(task_id))["op"] == "subscribed"
        await live.publish(project_id, task_id, 1)
        assert [frame["batch"]["n"] for frame in await client.steps(1)] == [1]


async def test_a_key_without_the_scope_read_gets_no_ticket(live: Any, project_id: str) -> None:
    key, _ = live.identity.api_key(project_id, [Scope.INGEST])

    answer = await ticket_answer(live, key, project_id)

    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert "scope read" in answer.json()["detail"]


async def test_a_key_gets_tickets_for_its_own_project_only(live: Any, project_id: str) -> None:
    key, _ = live.identity.api_key(project_id, [Scope.READ, Scope.INGEST])

    foreign = await ticket_answer(live, key, str(uuid.uuid4()))

    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")


async def test_an_unknown_key_gets_no_ticket(live: Any, project_id: str) -> None:
    key, _ = live.identity.api_key(project_id, [Scope.READ])
    live.identity.revoke(key)

    assert (await ticket_answer(live, key, project_id)).status_code == 401
    assert (await ticket_answer(live, "ams_x", project_id)).status_code == 401


async def test_revoking_a_key_closes_only_its_sockets(live: Any, project_id: str) -> None:
    key, key_id = live.identity.api_key(project_id, [Scope.READ])
    other, _ = live.identity.api_key(project_id, [Scope.READ])
    unused = await ticket(live, key, project_id)
    async with (
        live.client(project_id, ticket=await ticket(live, key, project_id)) as revoked,
        live.client(project_id, ticket=await ticket(live, other, project_id)) as stays,
    ):
        live.identity.revoke(key)
        started_at = time.monotonic()
        await live.announce(IdentityChanged(kind="key.revoked", key_id=key_id, project_id=project_id))

        assert await revoked.close_code() == 4401
        assert time.monotonic() - started_at < 5
        assert (await stays.subscribe("a" * 32))["op"] == "subscribed"
    assert (await ticket_answer(live, key, project_id)).status_code == 401
    async with httpx.AsyncClient() as http:
        upgrade = {
            "Host": "localhost:8080", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": f"ams.v1, ticket.{unused}",
        }  # fmt: skip
        assert (await http.get(f"http://127.0.0.1:{live.port}/api/live", headers=upgrade)).status_code == 403


async def test_a_revocation_whose_event_was_missed_closes_after_the_next_gap(live: Any, project_id: str) -> None:
    key, _ = live.identity.api_key(project_id, [Scope.READ])
    async with live.client(project_id, ticket=await ticket(live, key, project_id)) as client:
        await client.subscribe("a" * 32)
        live.identity.revoke(key)
        await live.redis.publish("ams:identity:changed", b"not understood: anything may have changed")

        assert await client.close_code() == 4401


async def test_a_deleted_project_closes_the_sockets_of_its_keys(live: Any, project_id: str) -> None:
    key, _ = live.identity.api_key(project_id, [Scope.READ])
    async with live.client(project_id, ticket=await ticket(live, key, project_id)) as client:
        await client.subscribe("a" * 32)
        await live.announce(IdentityChanged(kind="project.deleted", project_id=project_id))

        assert await client.close_code() == 4404


async def test_a_socket_closes_when_its_key_expires(live: Any, project_id: str) -> None:
    key, _ = live.identity.api_key(project_id, [Scope.READ], seconds=2)
    async with live.client(project_id, ticket=await ticket(live, key, project_id)) as client:
        started_at = time.monotonic()
        assert await client.close_code() == 4401
        assert time.monotonic() - started_at < 4


async def test_a_ticket_of_another_key_does_not_renew(live: Any, project_id: str) -> None:
    key, _ = live.identity.api_key(project_id, [Scope.READ])
    other, _ = live.identity.api_key(project_id, [Scope.READ])
    async with live.client(project_id, ticket=await ticket(live, key, project_id)) as client:
        await client.send(op="renew", ticket=await ticket(live, key, project_id))
        assert (await client.answer("renewed"))["op"] == "renewed"
        await client.send(op="renew", ticket=await ticket(live, other, project_id))
        assert await client.close_code() == 4403
