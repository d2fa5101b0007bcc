"""Browsers of people who sign in by the OpenID providers of the tests."""

import secrets
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
from services.identity.tests.clients import Person
from tests.openid_provider import OpenIdProvider, sign_in_there

BACK = "http://localhost:8080"
PROJECT = "0190a000-0000-7000-8000-00000000a001"  # inserted by a test, named by the settings
Sql = Callable[..., list[Any]]


class Browser(msgspec.Struct):
    """A browser of a person, with the cookies of the installation."""

    http: httpx.Client

    def start(self, provider: str = "acme") -> str:
        return self.http.post("/api/auth/oidc/start", json={"provider": provider}).raise_for_status().json()["url"]

    def answer(self, params: dict[str, str], provider: str = "acme") -> httpx.Response:
        return self.http.post("/api/auth/oidc/callback", json={"provider": provider, **params})

    def sign_in(self, name: str, provider: str = "acme") -> httpx.Response:
        return self.answer(sign_in_there(self.start(provider), name), provider)


def new_person_at(provider: OpenIdProvider, **claims: Any) -> str:
    name = f"a{secrets.token_hex(5)}"
    provider.put(name, **{"email": email_of(name, provider), "email_verified": True, **claims})
    return name


def email_of(name: str, provider: OpenIdProvider) -> str:
    return f"{name}@{provider.provider_id}.example.com"


def signed_in(answer: httpx.Response, browser: Browser) -> Person:
    assert answer.status_code == 200, answer.text
    user = answer.json()["user"]
    return Person(browser.http, user["username"], user["email"], user["user_id"], answer.json()["access_token"], "")


def code_of_answer(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def make_proof_old(sql: Sql, person: Person) -> None:
    sql("update sessions set proved_at = proved_at - interval '6 minutes' where user_id = $1", person.user_id)


def own_round_trip(person: Person, browser: Browser, purpose: str, name: str) -> httpx.Response:
    started = person.post("/api/auth/oidc/own/start", {"provider": "acme", "purpose": purpose})
    if started.status_code != 200:
        return started
    return person.post("/api/auth/oidc/own/callback", {"provider": "acme", **sign_in_there(started.json()["url"], name)})
