"""Email by a real mail server: verification of an address, a link for a forgotten password, notices; and what happens without one."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest
from services.identity.tests.clients import PASSWORD, Person, Server
from services.identity.tests.conftest import wait_until_ready
from tests.inbox import Inbox

from ams_identity import email_links
from ams_identity.app import make_app
from ams_identity.mail import QUEUE_MAX, Mail, Mailer
from ams_identity.mail import Server as MailServer
from ams_identity.settings import Settings
from ams_kit.errors import UnavailableError
from ams_kit.testing.serving import serving

NEW_PASSWORD = "a new and longer sentence"
Sql = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    inbox.start()
    yield inbox
    inbox.stop()


@pytest.fixture(scope="module")
def post_office(server: Server, inbox: Inbox) -> Iterator[str]:
    """An identity that sends email. It shares database and Valkey with the other one, and has its address."""
    settings: Settings = msgspec.structs.replace(
        server.settings, smtp_host="127.0.0.1", smtp_port=inbox.port, smtp_security="none", smtp_from="AMS <ams@example.com>"
    )
    with serving(make_app(settings, now_s=server.clock)) as url:
        wait_until_ready(url)
        yield url


@pytest.fixture
def mailed(post_office: str) -> Iterator[Person]:
    """A person who registered where email is sent."""
    client = httpx.Client(
        base_url=post_office, timeout=30, headers={"X-Forwarded-For": f"10.200.{secrets.randbelow(256)}.{secrets.randbelow(256)}"}
    )
    name = f"m{secrets.token_hex(6)}"
    account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    user = client.post("/api/auth/register", json=account).raise_for_status().json()["user"]
    token = client.post("/api/auth/login", json={"login": name, "password": PASSWORD}).raise_for_status().json()["access_token"]
    yield Person(client, name, account["email"], user["user_id"], token, "")
    client.close()


def link_in(text: str, page: str) -> str:
    """The token of the link in a message."""
    return text.partition(f"http://localhost:8080/{page}#")[2].split()[0]


def verify(inbox: Inbox, person: Person, address: str | None = None) -> None:
    token = link_in(inbox.next_to(address or person.email, "Confirm your email address"), "verify-email")
    assert person.client.post("/api/auth/verify-email", json={"token": token}).status_code == 204


def test_a_new_account_verifies_its_address_by_a_link(inbox: Inbox, mailed: Person) -> None:
    assert mailed.client.get("/api/auth/rules").json()["email"] is True
    assert mailed.get("/api/users/me").json()["email_verified"] is False
    token = link_in(inbox.next_to(mailed.email, "Confirm your email address"), "verify-email")

    for wrong in ("", "x", token[:-1], token.replace(mailed.user_id, "0198f3aa-0000-7000-8000-000000000001")):
        assert mailed.client.post("/api/auth/verify-email", json={"token": wrong}).json()["code"] == "link_not_found"
    assert mailed.client.post("/api/auth/verify-email", json={"token": token}).status_code == 204
    assert mailed.client.post("/api/auth/verify-email", json={"token": token}).status_code == 204

    assert mailed.get("/api/users/me").json()["email_verified"] is True
    assert mailed.post("/api/users/me/email/verification").json()["code"] == "already_verified"


def test_a_new_address_is_verified_again_and_the_old_one_receives_a_notice(inbox: Inbox, mailed: Person) -> None:
    stale = link_in(inbox.next_to(mailed.email, "Confirm your email address"), "verify-email")
    new = f"new-{mailed.email}"

    changed = mailed.post("/api/users/me/email", {"password": PASSWORD, "email": new})

    assert (changed.status_code, changed.json()["email_verified"]) == (200, False)
    assert new not in inbox.next_to(mailed.email, "Your account was changed")
    assert mailed.client.post("/api/auth/verify-email", json={"token": stale}).status_code == 404
    verify(inbox, mailed, new)
    assert mailed.get("/api/users/me").json()["email_verified"] is True


def test_a_forgotten_password_is_replaced_by_a_link_to_the_verified_address(inbox: Inbox, mailed: Person) -> None:
    verify(inbox, mailed)

    asked = mailed.client.post("/api/auth/password-reset/request", json={"login": mailed.username})
    nobody = mailed.client.post("/api/auth/password-reset/request", json={"login": "nobody-has-this-name"})

    assert (asked.status_code, asked.content) == (202, nobody.content)
    token = link_in(inbox.next_to(mailed.email, "Choose a new password"), "reset")
    body = {"token": token, "new_password": NEW_PASSWORD}
    assert mailed.client.post("/api/auth/password-reset", json=body).status_code == 204
    assert mailed.client.post("/api/auth/password-reset", json=body).status_code == 404
    assert mailed.get("/api/users/me").status_code == 401
    assert mailed.client.post("/api/auth/login", json={"login": mailed.username, "password": NEW_PASSWORD}).status_code == 200


def test_an_address_that_was_not_verified_receives_no_link_and_an_account_three_an_hour(inbox: Inbox, mailed: Person, sql: Sql) -> None:
    inbox.next_to(mailed.email, "Confirm your email address")
    ask = {"login": mailed.email}
    mailed.client.post("/api/auth/password-reset/request", json=ask)
    assert [mailed.post("/api/users/me/email/verification").status_code for _ in range(3)] == [202, 202, 429]
    verify(inbox, mailed)
    assert sql("select 1 from password_resets where user_id = $1", mailed.user_id) == []

    for _ in range(5):
        assert mailed.client.post("/api/auth/password-reset/request", json=ask).status_code == 202
    for _ in range(3):
        inbox.next_to(mailed.email, "Choose a new password")
    # the queue is in order: when a later message has arrived, the fourth link was not sent
    mailed.post("/api/users/me/email", {"password": PASSWORD, "email": f"last-{mailed.email}"})
    inbox.next_to(mailed.email, "Your account was changed")
    assert [item for item in inbox.messages if item["To"] == mailed.email and item["Subject"] == "Choose a new password"] == []


def test_without_a_mail_server_links_come_from_the_administrator(person: Person) -> None:
    assert person.client.get("/api/auth/rules").json()["email"] is False
    for answer in (
        person.client.post("/api/auth/password-reset/request", json={"login": person.username}),
        person.post("/api/users/me/email/verification"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "no_email")


async def test_a_message_is_sent_again_after_a_refusal_and_given_up_when_it_cannot_be(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ams_identity.mail.PAUSE_SECONDS", (0.01, 0.01))
    mailer = Mailer(MailServer(host="127.0.0.1", port=inbox.port, security="none", username="", password="", sender="ams@example.com"))
    running = asyncio.create_task(mailer.run())
    inbox.refusals = 2

    mailer.send(Mail(to="first@example.com", subject="a subject\nBcc: other@example.com", text="never sent"))
    mailer.send(Mail(to="second@example.com", subject="second", text="sent at the third attempt"))

    assert "third attempt" in await asyncio.to_thread(inbox.next_to, "second@example.com", "second")
    assert [item for item in inbox.messages if item["To"] == "first@example.com"] == []
    assert "second@example.com" not in caplog.text
    running.cancel()


async def test_the_queue_is_bounded() -> None:
    mailer, mail = Mailer(None), Mail(to="a@example.com", subject="x", text="x")
    for _ in range(QUEUE_MAX):
        mailer.send(mail)

    with pytest.raises(UnavailableError):
        mailer.send(mail)


def test_a_link_is_not_for_an_address_that_was_changed_at_the_same_moment(
    inbox: Inbox, mailed: Person, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify(inbox, mailed)
    find, new = email_links.find_user, f"new.{mailed.email}"

    async def find_before_the_change(context: Any, login: str) -> Any:
        user = await find(context, login)
        change = "update users set email = $2, email_key = $2, email_verified_at = null where id = $1"
        await context.pool.execute(change, mailed.user_id, new)
        return user

    monkeypatch.setattr(email_links, "find_user", find_before_the_change)

    mailed.client.post("/api/auth/password-reset/request", json={"login": mailed.username}).raise_for_status()

    deadline = time.monotonic() + 10
    while mailed.get("/api/users/me").json()["email"] != new:
        assert time.monotonic() < deadline
    mailed.post("/api/users/me/email/verification").raise_for_status()
    inbox.next_to(new, "Confirm your email address")  # messages are made in order, so the link would exist
    assert sql("select 1 from password_resets where user_id = $1", mailed.user_id) == []
