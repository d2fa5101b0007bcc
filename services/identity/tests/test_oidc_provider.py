"""The client of a provider against answers that no honest provider gives: foreign configuration, too much, too late, rotated keys, refused codes."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from ams_identity.oidc_provider import ANSWER_BYTES_MAX, FAILURE_SECONDS, Provider
from ams_identity.oidc_settings import Issuer
from ams_kit.errors import AmsError, ConflictError, UnauthenticatedError, UnavailableError

NOW = 1_800_000_000
ISSUER = "https://id.example.com"
KEYS = [RSAKey.generate_key(2048, {"kid": str(number), "use": "sig"}) for number in range(2)]
SETTINGS = Issuer(id="acme", name="Acme", issuer=ISSUER, client_id="a b", client_secret="s:%")


class Answers:
    """What the provider answers, by path; counts the requests."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.metadata: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth?tenant=1",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "userinfo_endpoint": f"{ISSUER}/me",
            "end_session_endpoint": f"{ISSUER}/end",
        }
        self.key = KEYS[0]
        self.claims: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {"sub": "1", "email": "a@example.com", "email_verified": True}
        self.other: dict[str, Callable[[], httpx.Response]] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """As a network answers: in a stream, which is not read yet."""
        answer = self._answer(request)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.path in self.other:
            return self.other[request.url.path]()
        claims = {"iss": ISSUER, "sub": "1", "aud": "a b", "exp": NOW + 60, "iat": NOW, "nonce": "n", **self.claims}
        token = jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key, algorithms=["RS256"])
        found: dict[str, Any] = {
            "/.well-known/openid-configuration": self.metadata,
            "/keys": {"keys": [self.key.as_dict(private=False)]},
            "/token": {"id_token": token, "access_token": "t", "token_type": "Bearer"},
            "/me": self.userinfo,
        }
        return httpx.Response(200, json=found[request.url.path])

    def paths(self) -> list[str]:
        return [request.url.path for request in self.requests]


class Seconds:
    """A clock of the caches."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def provider(answers: Answers, clock: Seconds) -> Provider:
    http = httpx.AsyncClient(transport=httpx.MockTransport(answers), follow_redirects=False)
    return Provider(SETTINGS, "https://ams.example.com/signin/callback/acme", http, lambda: NOW, monotonic=clock)


async def exchanged(provider: Provider) -> Any:
    return (await provider.exchange(code="c", verifier="v" * 43, nonce="n")).person


async def refused(provider: Provider) -> AmsError:
    with pytest.raises(AmsError) as error:
        await exchanged(provider)
    return error.value


async def test_what_the_id_token_lacks_comes_from_the_userinfo_of_the_same_person(provider: Provider, answers: Answers) -> None:
    person = await exchanged(provider)

    assert (person.email, person.email_verified) == ("a@example.com", True)
    sent = next(request for request in answers.requests if request.url.path == "/token")
    assert (
        httpx.BasicAuth("a%20b", "s%3A%25").auth_flow(httpx.Request("GET", ISSUER)).__next__().headers["authorization"]
        == sent.headers["authorization"]
    )
    assert b"code_verifier=" in sent.content
    assert b"client_secret" not in sent.content
    answers.userinfo["sub"] = "2"
    assert (await refused(provider)).code == "invalid_provider_answer"
    answers.claims["email"] = "of-the-token@example.com"
    assert (await exchanged(provider)).email == "of-the-token@example.com"


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": f"{ISSUER}/"},
        {"issuer": "https://evil.example.com"},
        {"token_endpoint": "http://id.example.com/token"},
        {"jwks_uri": "http://127.0.0.1:8000/internal/access"},
        {"userinfo_endpoint": "file:///etc/passwd"},
        {"end_session_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
    ],
    ids=repr,
)
async def test_a_configuration_of_another_issuer_or_without_https_is_refused(
    provider: Provider, answers: Answers, changes: dict[str, Any]
) -> None:
    answers.metadata |= changes

    assert (await refused(provider)).code == "provider_unavailable"
    assert answers.paths() == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx.Response(302, headers={"location": "http://169.254.169.254/"}),
        lambda: httpx.Response(200, content=b" " * (ANSWER_BYTES_MAX + 1)),
        lambda: httpx.Response(200, content=b"<html>"),
        lambda: httpx.Response(500),
    ],
    ids=["redirect", "large", "html", "500"],
)
async def test_an_answer_that_cannot_be_used_makes_the_provider_unavailable_for_a_moment(
    provider: Provider, answers: Answers, clock: Seconds, answer: Callable[[], httpx.Response]
) -> None:
    answers.other["/keys"] = answer

    for _ in range(3):
        assert isinstance(await refused(provider), UnavailableError)
    assert len(answers.requests) == 2  # one attempt, of a look-up in two parts
    answers.other.clear()
    clock.now += FAILURE_SECONDS
    assert (await exchanged(provider)).subject == "1"


async def test_rotated_keys_are_found_and_not_looked_for_at_each_token(provider: Provider, answers: Answers, clock: Seconds) -> None:
    await exchanged(provider)
    clock.now += 11
    answers.key = KEYS[1]
    assert (await exchanged(provider)).subject == "1"
    assert answers.paths().count("/keys") == 2

    answers.other["/token"] = lambda: httpx.Response(
        200, json={"id_token": jwt.encode({"alg": "RS256", "kid": "x"}, {}, KEYS[0], algorithms=["RS256"])}
    )
    for _ in range(3):
        assert isinstance(await refused(provider), UnauthenticatedError)
    assert answers.paths().count("/keys") == 2


async def test_a_refused_code_and_a_refused_client_have_answers_of_their_own(provider: Provider, answers: Answers) -> None:
    codes = []
    for status, body in ((400, b'{"error":"invalid_grant"}'), (401, b'{"error":"invalid_client"}'), (400, b"<x>"), (200, b"{}")):
        answers.other["/token"] = lambda status=status, body=body: httpx.Response(status, content=body)
        codes.append((await refused(provider)).code)

    assert codes == ["sign_in_expired", "provider_refused", "provider_refused", "provider_unavailable"]


async def test_two_clocks_that_differ_are_named(provider: Provider, answers: Answers) -> None:
    answers.claims["iat"] = NOW + 120

    assert isinstance(await refused(provider), ConflictError)


async def test_addresses_keep_their_own_parameters(provider: Provider, answers: Answers) -> None:
    url = await provider.authorization_url(state="s", nonce="n", verifier="v" * 43, more={"prompt": "login"})
    assert url.startswith(f"{ISSUER}/auth?tenant=1&response_type=code&client_id=a+b&")
    assert url.endswith("&prompt=login")

    back = "https://ams.example.com/signin"
    assert "id_token_hint=abc" in str(await provider.end_session_url("abc", back))
    assert "id_token_hint" not in str(await provider.end_session_url("x" * 8_000, back))
    assert [await provider.is_sender(iss) for iss in (ISSUER, f"{ISSUER}/", None)] == [True, False, True]


def test_the_secret_is_not_in_the_text_of_the_settings() -> None:
    assert json.dumps(SETTINGS.client_secret) not in repr(SETTINGS)
    assert "s:%" not in repr(SETTINGS)
