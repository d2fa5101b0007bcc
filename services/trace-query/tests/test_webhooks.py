"""Webhooks: where they may go, how they are signed, and that an attempt is repeated until it is accepted."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from threading import Thread

import pytest
from litestar.testing import AsyncTestClient
from sqlalchemy import select

from ams_contracts.alerts import AlertRaised, alert_id_of, event_id_of
from ams_contracts.platform_tables import alert_deliveries
from ams_kit.http.client_address import parse_networks
from ams_trace_query.alerts import queue
from ams_trace_query.alerts.addresses import AddressRefusedError, is_allowed, resolve
from ams_trace_query.alerts.deliverer import BACKOFF_SECONDS, LEASE_SECONDS, Deliverer
from ams_trace_query.alerts.notices import body_of, headers_of, notice_of
from ams_trace_query.alerts.sealing import Sealer, WebhookSecrets, new_signing_secret
from ams_trace_query.alerts.webhooks import WebhookSender
from ams_trace_query.database import Database

SECOND = 1_000_000
LOOPBACK = parse_networks("127.0.0.0/8, ::1/128")
PROJECT = "01900000-0000-7000-8000-000000000001"
RULE = "01900000-0000-4000-8000-00000000000a"


def raised(project_id: str = PROJECT, rule_id: str = RULE, **changes) -> AlertRaised:
    alert_id = alert_id_of(rule_id, 1_000)
    event = {
        "event_id": event_id_of(alert_id, "raised"),
        "at_us": 5,
        "project_id": project_id,
        "rule_id": rule_id,
        "alert_id": alert_id,
        "name": "Failures",
        "measure": "count",
        "threshold": 2.0,
        "value": 3.0,
        "window_start_us": 0,
        "window_end_us": 1_000,
    }
    return AlertRaised(**{**event, **changes})


class Receiver:
    """Takes requests, and answers with the given statuses, the last one for ever."""

    def __init__(self, statuses: list[int]) -> None:
        self.statuses = statuses
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        self.requests.append((headers, await reader.readexactly(int(headers["content-length"]))))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        writer.write(f"HTTP/1.1 {status} X\r\nLocation: {self.url}elsewhere\r\nContent-Length: 99999999\r\n\r\npart".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def receiver(*statuses: int, host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    taking = Receiver(list(statuses))
    server = await asyncio.start_server(taking.serve, host, 0)
    port = server.sockets[0].getsockname()[1]
    taking.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/hook?token=secret"
    async with server:
        yield taking


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("172.16.9.9", False),
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("2001:0:1::", False),
        ("fec0::1", False),
    ],
)
def test_webhooks_go_to_the_internet_alone(address: str, expected: bool) -> None:
    assert is_allowed(ip_address(address), ()) is expected
    assert is_allowed(ip_address(address), parse_networks(f"{address}/32" if "." in address else f"{address}/128"))


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "10.0.0.8"])
async def test_no_way_to_write_an_internal_address_is_accepted(host: str) -> None:
    outcome = await WebhookSender("http://ams", ()).send(
        notice_of(raised()), "json", WebhookSecrets(url=f"https://{host}/", signing_secret=new_signing_secret())
    )

    assert outcome.status is None
    assert "internal address" in (outcome.problem or "") or "resolve" in (outcome.problem or "")


async def test_a_host_is_refused_when_one_of_its_addresses_is_internal(monkeypatch) -> None:
    def addresses(*found: str):
        async def getaddrinfo(*_: object, **__: object) -> list:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in found]

        return getaddrinfo

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", addresses("93.184.215.14", "10.0.0.1"))
    with pytest.raises(AddressRefusedError):
        await resolve("mixed.example", 443, ())
    monkeypatch.setattr(loop, "getaddrinfo", addresses("93.184.215.14"))
    assert await resolve("good.example", 443, ()) == "93.184.215.14"


async def test_a_name_is_resolved_once_and_the_connection_goes_to_that_address(monkeypatch) -> None:
    loop, real, asked = asyncio.get_running_loop(), asyncio.get_running_loop().getaddrinfo, []

    async def rebinding(host, *arguments, **options):
        if host != "rebinding.example":
            return await real(host, *arguments, **options)
        asked.append(host)
        return await real("127.0.0.1" if len(asked) == 1 else "10.255.255.1", *arguments, **options)

    monkeypatch.setattr(loop, "getaddrinfo", rebinding)
    async with receiver(204) as taking:
        url = taking.url.replace("127.0.0.1", "rebinding.example")
        outcome = await WebhookSender("http://ams", LOOPBACK).send(
            notice_of(raised()), "json", WebhookSecrets(url=url, signing_secret=new_signing_secret())
        )

    assert (outcome.status, outcome.problem, asked) == (204, None, ["rebinding.example"])
    assert taking.requests[0][0]["host"].startswith("rebinding.example:")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_webhook_is_signed_and_its_response_is_not_read(host: str) -> None:
    secret = new_signing_secret()
    async with receiver(200, host=host) as taking:
        sender = WebhookSender("https://ams.example.com/", LOOPBACK, now_s=lambda: 1_234.5)
        outcome = await sender.send(notice_of(raised(), is_test=False), "json", WebhookSecrets(url=taking.url, signing_secret=secret))

    headers, body = taking.requests[0]
    assert (outcome.status, outcome.problem) == (200, None)
    signed = hmac.new(base64.b64decode(secret[6:]), f"{headers['webhook-id']}.1234.".encode() + body, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(signed).decode()}"
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (raised().event_id, "1234")
    reported = json.loads(body)
    assert (reported["type"], reported["rule_name"], reported["value"]) == ("alert.raised", "Failures", 3.0)
    assert reported["url"] == f"https://ams.example.com/projects/{PROJECT}/alerts?rule={RULE}"


@pytest.mark.parametrize("status", [301, 307, 400, 410, 500])
async def test_redirects_are_not_followed_and_refusals_are_problems(status: int) -> None:
    async with receiver(status) as taking:
        webhook = WebhookSecrets(url=taking.url, signing_secret=new_signing_secret())
        outcome = await WebhookSender("http://ams", LOOPBACK).send(notice_of(raised()), "json", webhook)

    assert (outcome.status, len(taking.requests)) == (status, 1)
    assert str(status) in (outcome.problem or "")
    assert "secret" not in (outcome.problem or "")


async def test_outside_of_the_named_networks_a_webhook_needs_https() -> None:
    webhook = WebhookSecrets(url="http://93.184.215.14/", signing_secret=new_signing_secret())

    assert "https" in ((await WebhookSender("http://ams", ()).send(notice_of(raised()), "json", webhook)).problem or "")


def test_a_message_for_slack_has_no_markup_of_names_and_queries() -> None:
    text = json.loads(body_of(notice_of(raised(name="<!channel> *x* & `y`", q="a<b>")), "slack", "https://ams.example.com"))["text"]

    assert "<!channel>" not in text
    assert "&lt;!channel&gt;" in text
    assert "<https://ams.example.com/projects/" in text


def test_signatures_follow_the_example_of_standard_webhooks() -> None:
    body = b'{"test": 2432232314}'

    headers = headers_of("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_key_before_the_last_change_still_decrypts_and_another_does_not() -> None:
    webhook = WebhookSecrets(url="https://example.com/", signing_secret="whsec_")
    sealed = Sealer("old").seal(webhook, PROJECT, RULE)

    rotated = Sealer("new", "old")

    assert rotated.unseal(sealed, PROJECT, RULE) == webhook
    assert (rotated.is_current(sealed), rotated.is_current(rotated.seal(webhook, PROJECT, RULE))) == (False, True)
    assert Sealer("new").unseal(sealed, PROJECT, RULE) is None
    assert Sealer("old").unseal(sealed, PROJECT, "another rule") is None


async def test_a_delivery_is_attempted_until_it_is_accepted_and_shown_with_its_attempts(http, store, project_of, traces_url) -> None:
    clock = {"us": 10 * SECOND}
    database = await Database.open(f"{traces_url}?role=ams_reader", connections_max=4, statement_timeout_ms=10_000)
    sender = WebhookSender("http://ams", LOOPBACK)
    deliverer = Deliverer(database, sender, Sealer("a key of tests"), now_us=lambda: clock["us"], jitter=lambda: 1.0)
    mia = project_of(http, store.project_id, "mia")
    async with receiver(500, 429, 204) as taking:
        body = {"name": "r", "measure": "count", "threshold": 1, "window_seconds": 60, "webhook": {"format": "json", "url": taking.url}}
        rule = (await mia.send("POST", "alert-rules", body)).json()["rule"]
        async with database.write(store.project_id) as writer:
            await queue.send_later(writer, notice_of(raised(store.project_id, rule["rule_id"])))

        async def state() -> tuple:
            async with database.read(store.project_id) as reader:
                row = await reader.row(select(alert_deliveries).where(alert_deliveries.c.project_id == store.project_id).limit(1))
            return row["state"], row["attempts"], row["last_status"], row["next_attempt_at_us"]

        first = await deliverer.run_once(), await state()
        again = await deliverer.run_once(), await state()
        clock["us"] += BACKOFF_SECONDS[0] * SECOND
        second = await deliverer.run_once(), await state()
        clock["us"] += BACKOFF_SECONDS[1] * SECOND
        third = await deliverer.run_once(), await state()
        clock["us"] += 1_000_000 * SECOND
        last = await deliverer.run_once()

    await sender.close()
    await database.close()
    assert first == (1, ("pending", 1, 500, 20 * SECOND))
    assert again == (0, first[1])
    assert second == (1, ("pending", 2, 429, 50 * SECOND))
    assert third == (1, ("delivered", 3, 204, None))
    assert last == 0
    assert len({headers["webhook-id"] for headers, _ in taking.requests}) == 1


async def test_a_delivery_is_given_up_and_one_of_a_killed_process_is_taken_up(store, http, project_of, traces_url) -> None:
    clock = {"us": 10 * SECOND}
    database = await Database.open(f"{traces_url}?role=ams_reader", connections_max=4, statement_timeout_ms=10_000)
    sender = WebhookSender("http://ams", LOOPBACK)
    deliverer = Deliverer(database, sender, Sealer("a key of tests"), now_us=lambda: clock["us"], jitter=lambda: 1.0)
    mia = project_of(http, store.project_id, "mia")
    async with receiver(503) as taking:
        body = {"name": "r", "measure": "count", "threshold": 1, "window_seconds": 60, "webhook": {"format": "slack", "url": taking.url}}
        rule = (await mia.send("POST", "alert-rules", body)).json()["rule"]
        event = raised(store.project_id, rule["rule_id"])
        async with database.write(store.project_id) as writer:
            await queue.send_later(writer, notice_of(event))
        assert await deliverer._claim(store.project_id, event.event_id) is not None  # what a process does before it is killed
        assert await deliverer.run_once() == 0
        clock["us"] += LEASE_SECONDS * SECOND
        for pause in (0, *BACKOFF_SECONDS, 0):
            clock["us"] += pause * SECOND
            await deliverer.run_once()
        assert len(taking.requests) == len(BACKOFF_SECONDS) + 1
    async with database.read(store.project_id) as reader:
        row = await reader.row(select(alert_deliveries).where(alert_deliveries.c.project_id == store.project_id).limit(1))
    assert (row["state"], row["attempts"], row["next_attempt_at_us"]) == ("failed", len(BACKOFF_SECONDS) + 1, None)
    await sender.close()
    await database.close()


async def test_a_test_is_sent_once_and_reports_what_became_of_it(make_query_app, store, project_of) -> None:
    bodies: list[bytes] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)  # in a thread: the test client blocks this loop while the application answers
    Thread(target=server.serve_forever, daemon=True).start()
    async with AsyncTestClient(make_query_app(webhook_networks="127.0.0.0/8")) as client:
        mia = project_of(client, store.project_id, "mia")
        webhook = {"format": "json", "url": f"http://127.0.0.1:{server.server_port}/hook"}
        body = {"name": "r", "measure": "count", "threshold": 1, "window_seconds": 60, "webhook": webhook}
        rule_id = (await mia.send("POST", "alert-rules", body)).json()["rule"]["rule_id"]
        sent = await mia.send("POST", f"alert-rules/{rule_id}/test")
        elsewhere = {**body, "webhook": {"format": "json", "url": "https://10.0.0.1/"}}
        await mia.send("PUT", f"alert-rules/{rule_id}", elsewhere)
        refused = await mia.send("POST", f"alert-rules/{rule_id}/test")
    server.shutdown()
    server.server_close()

    assert sent.json() == {"status": 200, "problem": None}
    assert [json.loads(taken)["type"] for taken in bodies] == ["test"]
    assert refused.json()["status"] is None
    assert "AMS_WEBHOOK_NETWORKS" in refused.json()["problem"]
