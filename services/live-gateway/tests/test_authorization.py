"""Tickets, origins, revocation and limits: which sockets are accepted, and when they are closed."""

import asyncio
import contextlib
import time
import uuid
from typing import Any

import httpx
import msgspec
import pytest
import websockets
from tests.conditions import until

from ams_contracts.claims import IdentityChanged, Role
from ams_contracts.codec import encode
from ams_contracts.identity_events import ProjectDeleted, SessionRevoked, UserDisabled
from ams_contracts.topics import IDENTITY
from ams_kit.auth.revocation import REVOCATIONS_KEY
from ams_kit.bus import Record, create_topics


async def refused_handshake(live, project_id: str, **options: Any) -> tuple[int, str]:
    """The HTTP response to a handshake."""
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with live.client(project_id, **options):
            pass
    response = caught.value.response
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, msgspec.json.decode(response.body)["code"]


async def test_a_ticket_opens_one_socket(live, project_id: str) -> None:
    ticket = await live.ticket(project_id)
    async with live.client(project_id, ticket=ticket) as client:
        assert client.connection.subprotocol == "ams.v1"
        assert "sec-websocket-extensions" not in client.connection.response.headers

    assert await refused_handshake(live, project_id, ticket=ticket) == (401, "bad_ticket")


async def test_a_handshake_without_a_ticket_is_rejected(live, project_id: str) -> None:
    assert await refused_handshake(live, project_id, subprotocols=["ams.v1"]) == (401, "unauthenticated")
    assert await refused_handshake(live, project_id, subprotocols=["ticket.x"]) == (400, "unknown_subprotocol")
    assert await refused_handshake(live, project_id, subprotocols=["ams.v1", "ticket.unknown"]) == (401, "bad_ticket")
    assert await refused_handshake(live, project_id, subprotocols=["ams.v1", "ticket." + "x" * 200]) == (401, "bad_ticket")


async def test_a_token_in_the_url_is_rejected(live) -> None:
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with websockets.connect(f"ws://127.0.0.1:{live.port}/api/live?access_token=secret", subprotocols=["ams.v1"]):
            pass
    assert caught.value.response.status_code == 401


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil",
        "http://localhost.evil.com:8080",
        "http://localhost:8081",
        "http://LOCALHOST:8080",
        "https://localhost:8080",
        "http://localhost",
        "null",
        "localhost:8080",
        "",
    ],
)
async def test_other_origins_are_rejected(live, project_id: str, origin: str) -> None:
    assert await refused_handshake(live, project_id, additional_headers={"Origin": origin}) == (403, "foreign_origin")


@pytest.mark.parametrize("origin", ["http://localhost:8080", "http://127.0.0.1:8080"])
async def test_every_name_of_loopback_is_accepted_as_origin(live, project_id: str, origin: str) -> None:
    async with live.client(project_id, additional_headers={"Origin": origin}) as client:
        assert (await client.subscribe("a" * 32))["op"] == "subscribed"


async def test_a_spoofed_host_gets_421(live) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.get(
            f"http://127.0.0.1:{live.port}/api/live",
            headers={
                "Host": "evil.example:8080", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": "ams.v1, ticket.x",
            },
        )  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (421, "misdirected")


async def test_requests_that_are_not_websockets_are_rejected(live) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}") as http:
        assert (await http.get("/api/live")).status_code == 405
        assert (await http.post("/api/live")).status_code == 405
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        assert (await http.get("/api/live", headers=upgrade)).status_code == 400


async def test_tickets_are_issued_for_projects_of_the_caller_only(live, project_id: str) -> None:
    claims = live.claims(str(uuid.uuid4()))
    headers = {"Authorization": f"Bearer {live.identity.token(claims)}"}
    live.identity.roles[claims.sub, project_id] = Role.VIEWER
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}", headers=headers) as http:
        given = await http.post("/api/live/tickets", json={"project_id": project_id})
        foreign = await http.post("/api/live/tickets", json={"project_id": str(uuid.uuid4())})
        nobody = await http.post("/api/live/tickets", json={"project_id": project_id}, headers={"Authorization": "Bearer x"})

    assert given.status_code == 201
    assert given.json()["expires_in"] == 30
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    assert nobody.status_code == 401
    async with live.client(project_id, ticket=given.json()["ticket"]) as client:
        assert (await client.subscribe("a" * 32))["op"] == "subscribed"


async def test_a_ticket_of_a_revoked_session_is_rejected(live, project_id: str) -> None:
    claims = live.claims(str(uuid.uuid4()))
    ticket = await live.ticket(project_id, claims=claims)
    await live.redis.hset(REVOCATIONS_KEY, f"sid:{claims.sid}", "99999999999:0")

    assert await refused_handshake(live, project_id, ticket=ticket) == (401, "session_ended")


async def test_a_socket_closes_within_a_second_of_its_tokens_expiry(live, project_id: str) -> None:
    claims = live.claims(str(uuid.uuid4()), seconds=2)
    async with live.client(project_id, claims=claims) as client:
        assert await client.close_code() == 4401
        assert abs(time.time() - claims.exp) < 1


async def test_a_renewed_socket_outlives_its_first_token(live, project_id: str) -> None:
    first = live.claims(str(uuid.uuid4()), seconds=2)
    second = live.claims(first.sub)
    async with live.client(project_id, claims=first) as client:
        await client.send(op="renew", ticket=await live.ticket(project_id, claims=second))

        assert (await client.answer("renewed"))["expires_at_us"] == second.exp * 1_000_000
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0, first.exp - time.time()) + 1.2):
                await client.close_code()
        assert client.connection.close_code is None


async def test_another_users_ticket_does_not_renew(live, project_id: str) -> None:
    async with live.client(project_id) as client:
        await client.send(op="renew", ticket=await live.ticket(project_id))
        assert await client.close_code() == 4403


async def test_a_used_ticket_does_not_renew(live, project_id: str) -> None:
    claims = live.claims(str(uuid.uuid4()))
    ticket = await live.ticket(project_id, claims=claims)
    async with live.client(project_id, ticket=ticket) as client:
        await client.send(op="renew", ticket=ticket)
        assert await client.close_code() == 4401


async def test_a_logout_closes_only_the_sockets_of_its_session(live, project_id: str) -> None:
    claims = live.claims(str(uuid.uuid4()))
    async with live.client(project_id, claims=claims) as signed_out, live.client(project_id) as stays:
        await live.announce(IdentityChanged(kind="session.revoked", session_id=claims.sid, jti=claims.jti))
        assert await signed_out.close_code() == 4401
        assert (await stays.subscribe("a" * 32))["op"] == "subscribed"


async def test_a_logout_whose_event_was_lost_closes_within_five_seconds(live, project_id: str) -> None:
    claims = live.claims(str(uuid.uuid4()))
    async with live.client(project_id, claims=claims) as client:
        started_at = time.monotonic()
        await live.redis.hset(REVOCATIONS_KEY, f"jti:{claims.jti}", "99999999999:0")
        assert await client.close_code() == 4401
        assert time.monotonic() - started_at < 6


async def test_changes_that_arrive_over_the_log_alone_close_sockets(live, project_id: str) -> None:
    """Redis is frozen or down: no message arrives over its channel."""
    await create_topics(live.settings.kafka_bootstrap)
    live.reads_identity_log = True
    await live.restart()
    claims = [live.claims(str(uuid.uuid4())) for _ in range(3)]
    other_project = str(uuid.uuid4())
    at_us = time.time_ns() // 1_000
    events = [
        SessionRevoked(event_id="1" * 32, at_us=at_us, user_id=claims[0].sub, session_id=claims[0].sid, reason="logout"),
        UserDisabled(event_id="2" * 32, at_us=at_us, user_id=claims[1].sub),
        ProjectDeleted(event_id="3" * 32, at_us=at_us, project_id=other_project),
    ]
    async with (
        live.client(project_id, claims=claims[0]) as signed_out,
        live.client(project_id, claims=claims[1]) as disabled,
        live.client(other_project, claims=claims[2]) as deleted,
        live.client(project_id, claims=claims[2]) as stays,
    ):
        await live.log.publish([Record(topic=IDENTITY, key=b"k", value=encode(event)) for event in events], timeout_seconds=10)

        assert [await client.close_code() for client in (signed_out, disabled, deleted)] == [4401, 4401, 4404]
        assert (await stays.subscribe("a" * 32))["op"] == "subscribed"
    assert await refused_handshake(live, project_id, claims=claims[0]) == (401, "session_ended")


async def test_a_process_that_starts_reads_what_was_revoked_in_the_last_minutes(live, project_id: str) -> None:
    await create_topics(live.settings.kafka_bootstrap)
    claims = live.claims(str(uuid.uuid4()))
    event = SessionRevoked(event_id="4" * 32, at_us=time.time_ns() // 1_000, user_id=claims.sub, session_id=claims.sid, reason="logout")
    await live.log.publish([Record(topic=IDENTITY, key=b"k", value=encode(event))], timeout_seconds=10)
    live.reads_identity_log = True
    await live.restart()

    async def refused() -> bool:
        try:
            return await refused_handshake(live, project_id, claims=claims) == (401, "session_ended")
        except pytest.fail.Exception:
            return False

    await until(refused)


async def test_a_socket_is_not_renewed_while_nobody_knows_what_is_revoked(live, project_id: str) -> None:
    claims = live.claims(str(uuid.uuid4()))
    async with live.client(project_id, claims=claims) as client:
        ticket = await live.ticket(project_id, claims=claims)
        live.app.state.auth.revocations._server.run_id = b"of another server"
        await client.send(op="renew", ticket=ticket)

        assert (await client.receive_until(lambda frame: frame.get("code") == "unavailable"))[0]["id"]


async def test_lost_access_and_a_deleted_project_close_the_socket(live, project_id: str) -> None:
    claims = live.claims(str(uuid.uuid4()))
    async with live.client(project_id, claims=claims) as put_out, live.client(project_id) as other:
        live.identity.roles.pop((claims.sub, project_id))
        await live.announce(IdentityChanged(kind="access.changed", user_id=claims.sub, project_id=project_id))
        assert await put_out.close_code() == 4403

        await live.announce(IdentityChanged(kind="project.deleted", project_id=project_id))
        assert await other.close_code() == 4404


@pytest.mark.parametrize("live", [{"live_sockets_per_user": 2}], indirect=True)
async def test_the_sockets_of_a_user_are_limited(live, project_id: str) -> None:
    user_id = str(uuid.uuid4())
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(live.client(project_id, claims=live.claims(user_id)))
        third = await stack.enter_async_context(live.client(project_id, claims=live.claims(user_id)))
        assert await third.close_code() == 4429
    async with live.client(project_id, claims=live.claims(user_id)) as again:
        assert (await again.subscribe("a" * 32))["op"] == "subscribed"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("x", 4400),
        ("[" * 1000 + "]" * 1000, 4400),
        ("[" * 5000, 4400),
        ('{"op":"subscribe","id":"1","task_id":' + "[" * 40 + "]" * 40 + "}", 4400),
        ("x" * 16_385, 1009),
        (b"binary", 1003),
    ],
)
async def test_malformed_messages_close_the_socket(live, project_id: str, message: str | bytes, code: int) -> None:
    async with live.client(project_id) as client:
        await client.connection.send(message)
        assert await client.close_code() == code


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"op": "dance", "id": "1"}, "unknown_op"),
        ({"id": "1"}, "invalid"),
        ({"op": "subscribe", "id": "1"}, "invalid"),
        ({"op": "subscribe", "id": "1", "list": True, "task_id": "a" * 32}, "invalid"),
        ({"op": "subscribe", "id": "1", "task_id": "../../etc"}, "invalid"),
        ({"op": "subscribe", "id": "1", "task_id": 7}, "invalid"),
        ([], "invalid"),
        (7, "invalid"),
    ],
)
async def test_rejected_messages_leave_the_socket_open(live, project_id: str, message: object, code: str) -> None:
    async with live.client(project_id) as client:
        await client.connection.send(msgspec.json.encode(message).decode())
        assert (await client.answer("error"))["code"] == code
        assert (await client.subscribe("a" * 32))["op"] in {"subscribed", "error"}


async def test_request_ids_are_unique_and_subscriptions_are_limited(live, project_id: str) -> None:
    async with live.client(project_id) as client:
        await client.subscribe("a" * 32)
        client.ids -= 1
        again = await client.send(op="subscribe", task_id="b" * 32)
        errors = await client.receive_until(lambda frame: frame["op"] == "error" and frame["id"] == again)
        assert errors[0]["code"] == "duplicate_id"

        for number in range(1, 50):
            await client.subscribe(f"{number:032x}")
        assert (await client.subscribe("c" * 32))["code"] == "too_many_subscriptions"


async def test_floods_of_messages_and_of_pings_close_the_socket(live, project_id: str) -> None:
    async with live.client(project_id) as client:
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(300):
                await client.send(op="unsubscribe", sub="x")
        assert await client.close_code() == 1008
    async with live.client(project_id) as client:
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(100):
                await client.connection.ping()
        assert await client.close_code() == 1008


async def test_an_endless_message_of_empty_fragments_closes_the_socket(live, project_id: str) -> None:
    async with live.client(project_id) as client:
        with contextlib.suppress(websockets.ConnectionClosed):
            await client.connection.send([""] * 2_000)
        assert await client.close_code() == 1008
