"""The ways into an account with providers: which one may be removed, what counts as a second factor, how a password comes and a session ends."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import msgspec
import pytest
from services.identity.tests.browsers import Browser, Sql, code_of_answer, email_of, new_person_at, own_round_trip, signed_in
from services.identity.tests.clients import PASSWORD, Person, Server
from services.identity.tests.conftest import wait_until_ready
from services.identity.tests.factors import add_passkey
from tests.inbox import Inbox
from tests.openid_provider import OpenIdProvider

from ams_identity.app import make_app
from ams_kit.testing.serving import serving

NEW_PASSWORD = "a new and longer sentence"

pytestmark = [pytest.mark.usefixtures("moved_clock"), pytest.mark.timeout(180)]


def require_factor(sql: Sql, owner: Person, member: Person) -> str:
    """A project that requires a second factor, with a member."""
    project_id = owner.get("/api/users/me").json()["default_project_id"]
    sql("update projects set second_factor_required = true where project_id = $1", project_id)
    sql(
        "insert into members (project_id, user_id, role, by_hand, created_at) values ($1, $2, 'viewer', 'viewer', now())",
        project_id,
        member.user_id,
    )
    return project_id


def outbox_of(sql: Sql, person: Person) -> list[dict[str, Any]]:
    """The events about access of a person that wait for the log."""
    events = [json.loads(row["value"]) for row in sql("select value from outbox order by outbox_id")]
    return [event for event in events if event.get("user_id") == person.user_id and "role" in event]


@pytest.fixture(scope="module")
def silent() -> Iterator[socket.socket]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        yield listening


@pytest.fixture(scope="module")
def mail_door(server: Server, issuers: list[dict[str, Any]], silent: socket.socket) -> Iterator[tuple[str, Inbox]]:
    """An identity with providers that sends email; one of the providers does not answer."""
    inbox = Inbox()
    inbox.start()
    quiet = {**issuers[0], "id": "silent", "name": "Silent", "issuer": f"http://localhost:{silent.getsockname()[1]}", "roles": []}
    settings = msgspec.structs.replace(
        server.settings, oidc_issuers=json.dumps([*issuers, quiet]), smtp_host="127.0.0.1", smtp_port=inbox.port, smtp_security="none",
        smtp_from="AMS <ams@example.com>",
    )  # fmt: skip
    with serving(make_app(settings, now_s=server.clock)) as url:
        wait_until_ready(url)
        yield url, inbox
    inbox.stop()


def test_the_last_way_into_an_account_is_not_removed(browser: Browser, ada: str, sql: Sql) -> None:
    person = signed_in(browser.sign_in(ada), browser)
    add_passkey(person)
    passkey = person.get("/api/users/me/factors").json()["passkeys"][0]["passkey_id"]
    identity = person.get("/api/users/me/identities").json()["items"][0]["identity_id"]
    assert person.delete(f"/api/users/me/identities/{identity}").status_code == 204

    refused = person.delete(f"/api/users/me/passkeys/{passkey}")

    assert code_of_answer(refused) == (409, "last_way_in")
    assert "link another provider or ask the administrator for a link that sets a password" in refused.json()["detail"]
    assert len(person.get("/api/users/me/factors").json()["passkeys"]) == 1
    assert own_round_trip(person, browser, "link", ada).status_code == 200
    assert person.delete(f"/api/users/me/passkeys/{passkey}").status_code == 204


def test_a_provider_that_the_installation_no_longer_has_is_no_way_in(browser: Browser, ada: str, acme: OpenIdProvider, sql: Sql) -> None:
    person = signed_in(browser.sign_in(ada), browser)
    sql("update identities set issuer = 'https://former.example.com' where user_id = $1", person.user_id)
    other = new_person_at(acme)
    linked = own_round_trip(person, browser, "link", other).raise_for_status().json()["linked"]["identity_id"]

    assert code_of_answer(person.delete(f"/api/users/me/identities/{linked}")) == (409, "last_way_in")
    unknown = next(item for item in person.get("/api/users/me/identities").json()["items"] if item["provider"] is None)
    assert person.delete(f"/api/users/me/identities/{unknown['identity_id']}").status_code == 204


def test_a_stored_password_is_no_way_in_where_people_sign_in_by_providers_only(
    new_browser: Callable[..., Browser], closed_door: str, beta: OpenIdProvider, person: Person, sql: Sql
) -> None:
    known, closed = new_browser(), new_browser(closed_door)
    eve = new_person_at(beta, amr=["mfa"])
    visitor = signed_in(known.sign_in(eve, "beta"), known)
    sql("update users set password_hash = (select password_hash from users where id = $2) where id = $1", visitor.user_id, person.user_id)
    project = require_factor(sql, person, visitor)
    assert visitor.get(f"/api/projects/{project}").json()["code"] == "second_factor_required"

    there = signed_in(closed.sign_in(eve, "beta"), closed)

    assert there.get(f"/api/projects/{project}").status_code == 200
    assert there.get("/api/users/me").json()["second_factor"] is True
    identity = there.get("/api/users/me/identities").json()["items"][0]["identity_id"]
    assert code_of_answer(there.delete(f"/api/users/me/identities/{identity}")) == (409, "last_way_in")


def test_linking_a_provider_without_a_second_factor_ends_access_that_requires_one(
    new_browser: Callable[..., Browser], acme: OpenIdProvider, beta: OpenIdProvider, person: Person, sql: Sql
) -> None:
    browser = new_browser()
    visitor = signed_in(browser.sign_in(new_person_at(beta, amr=["mfa"]), "beta"), browser)
    project = require_factor(sql, person, visitor)
    assert visitor.get(f"/api/projects/{project}").status_code == 200

    assert own_round_trip(visitor, browser, "link", new_person_at(acme)).status_code == 200

    assert visitor.get(f"/api/projects/{project}").json()["code"] == "second_factor_required"
    entry = sql("select action, subject from audit where user_id = $1 order by audit_id desc limit 1", visitor.user_id)[0]
    assert (entry["action"], entry["subject"]) == ("identity.linked", "acme")
    assert [(event["kind"], event["project_id"]) for event in outbox_of(sql, visitor)][-1] == ("access.changed", project)


def test_a_provider_that_is_linked_by_an_address_ends_such_access_too(
    new_browser: Callable[..., Browser], acme: OpenIdProvider, beta: OpenIdProvider, person: Person, sql: Sql
) -> None:
    browser, other = new_browser(), new_browser()
    eve = new_person_at(beta, amr=["mfa"])
    visitor = signed_in(browser.sign_in(eve, "beta"), browser)
    require_factor(sql, person, visitor)
    before = len(outbox_of(sql, visitor))

    assert signed_in(other.sign_in(new_person_at(acme, email=email_of(eve, beta))), other).user_id == visitor.user_id

    assert len(outbox_of(sql, visitor)) == before + 1


def test_an_account_of_providers_only_gets_no_password_by_email_but_by_the_administrator(
    new_browser: Callable[..., Browser], mail_door: tuple[str, Inbox], beta: OpenIdProvider, person: Person, sql: Sql
) -> None:
    url, inbox = mail_door
    browser = new_browser(url)
    eve = new_person_at(beta, amr=["mfa"])
    visitor = signed_in(browser.sign_in(eve, "beta"), browser)
    project = require_factor(sql, person, visitor)

    assert browser.http.post("/api/auth/password-reset/request", json={"login": visitor.email}).status_code == 202

    text = inbox.next_to(visitor.email, "How to sign in")
    assert "Sign in with Beta:" in text
    assert "/reset#" not in text
    assert sql("select 1 from password_resets where user_id = $1", visitor.user_id) == []
    administrator = browser.http.post("/api/auth/login", json={"login": "the-first", "password": PASSWORD}).raise_for_status().json()
    made = browser.http.post(
        f"/api/users/{visitor.user_id}/password-reset", headers={"Authorization": f"Bearer {administrator['access_token']}"}
    )
    body = {"token": made.raise_for_status().json()["link"].partition("#")[2], "new_password": NEW_PASSWORD}
    assert browser.http.post("/api/auth/password-reset", json=body).status_code == 204
    again = signed_in(browser.http.post("/api/auth/login", json={"login": visitor.email, "password": NEW_PASSWORD}), browser)
    assert again.get(f"/api/projects/{project}").json()["code"] == "second_factor_required"  # a password alone opens the account now
    assert outbox_of(sql, visitor)[-1]["project_id"] == project


def test_signing_out_ends_the_session_before_it_asks_a_provider_that_does_not_answer(
    new_browser: Callable[..., Browser], mail_door: tuple[str, Inbox], silent: socket.socket, ada: str, sql: Sql
) -> None:
    url, _ = mail_door
    browser = new_browser(url)
    person = signed_in(browser.sign_in(ada), browser)
    issuer = f"http://localhost:{silent.getsockname()[1]}"
    sql("update identities set issuer = $2 where user_id = $1", person.user_id, issuer)

    with ThreadPoolExecutor(1) as background:
        leaving = background.submit(person.post, "/api/auth/oidc/own/end")
        asked, _ = silent.accept()
        with asked:
            ended = httpx.get(f"{url}/api/users/me", headers=person.headers).status_code
            answer = leaving.result(timeout=60)

    assert ended == 401
    assert (answer.status_code, answer.json()) == (200, {"url": None})
    assert 'ams_refresh=""' in answer.headers["set-cookie"]
