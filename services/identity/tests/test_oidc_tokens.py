"""ID tokens that are accepted, and forged ones; what is read of the claims; the settings of providers."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from ams_contracts.claims import Role
from ams_identity.oidc_settings import Issuer, OidcSettingsError, is_secure_address, parse_issuers, roles_of
from ams_identity.oidc_tokens import Expected, IdTokenError, key_id_of, read_id_token, read_keys, read_person
from ams_kit.auth.encoding import encode_base64url

NOW = 1_800_000_000
ACCESS_TOKEN = "an access token"
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
PUBLIC = [RSA.as_dict(private=False), EC.as_dict(private=False)]
KEYS = read_keys(json.dumps({"keys": PUBLIC}).encode())
EXPECTED = Expected(issuer="https://id.example.com", client_id="ams", nonce="the nonce", access_token=ACCESS_TOKEN, now_s=NOW)
CLAIMS: dict[str, Any] = {
    "iss": "https://id.example.com",
    "sub": "person-1",
    "aud": "ams",
    "exp": NOW + 300,
    "iat": NOW - 2,
    "nonce": "the nonce",
}
PROJECT = "0190a000-0000-7000-8000-000000000001"


def signed(changes: dict[str, Any] | None = None, *, header: dict[str, Any] | None = None, key: Any = RSA) -> str:
    """A token with changed claims; ``None`` removes one."""
    claims = {name: value for name, value in {**CLAIMS, **(changes or {})}.items() if value is not None}
    head = {"alg": "RS256", "kid": "rsa", **(header or {})}
    return jwt.encode({name: value for name, value in head.items() if value is not None}, claims, key, algorithms=[head["alg"]])


def at_hash(token: str) -> str:
    return encode_base64url(hashlib.sha256(token.encode()).digest()[:16])


def unsigned(header: dict[str, Any], signature: Callable[[bytes], bytes]) -> str:
    text = ".".join(encode_base64url(json.dumps(part).encode()) for part in (header, CLAIMS))
    return f"{text}.{encode_base64url(signature(text.encode()))}"


@pytest.mark.parametrize(
    "token",
    [
        signed(),
        signed({"aud": ["ams"]}),
        signed({"aud": ["ams", "another"], "azp": "ams"}),
        signed({"azp": "ams", "at_hash": at_hash(ACCESS_TOKEN)}),
        signed(header={"alg": "ES256", "kid": "ec"}, key=EC),
        signed({"exp": NOW - 30, "iat": NOW - 330, "nbf": NOW + 30}),
    ],
)
def test_tokens_of_the_provider_for_this_sign_in_are_accepted(token: str) -> None:
    assert read_id_token(token, KEYS, EXPECTED)["sub"] == "person-1"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://id.example.com/"},
        {"iss": "https://evil.example.com"},
        {"iss": ["https://id.example.com"]},
        {"iss": None},
        {"aud": "another"},
        {"aud": []},
        {"aud": None},
        {"aud": ["ams", "another"]},
        {"aud": ["ams", "another"], "azp": "another"},
        {"azp": "another"},
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": ""},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "a\nb"},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"iat": None},
        {"iat": "now"},
        {"at_hash": at_hash("another access token")},
        {"at_hash": 1},
    ],
    ids=repr,
)
def test_a_token_with_a_wrong_claim_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(IdTokenError) as refused:
        read_id_token(signed(changes), KEYS, EXPECTED)
    assert refused.value.reason == "forged"


@pytest.mark.parametrize(
    "changes",
    [{"exp": NOW - 61}, {"iat": NOW + 61}, {"iat": NOW - 700}, {"nbf": NOW + 90}, {"exp": NOW - 3_600, "iat": NOW - 7_200}],
    ids=repr,
)
def test_a_token_of_another_time_is_refused_and_the_clock_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(IdTokenError) as refused:
        read_id_token(signed(changes), KEYS, EXPECTED)
    assert refused.value.reason == "clock"


PUBLIC_PEM = RSA.as_pem(private=False)


@pytest.mark.parametrize(
    "token",
    [
        unsigned({"alg": "none"}, lambda _: b""),
        unsigned({"alg": "none", "kid": "rsa"}, lambda _: b""),
        unsigned({"alg": "NONE", "kid": "rsa"}, lambda _: b""),
        unsigned({"alg": "HS256", "kid": "rsa"}, lambda text: hmac.new(PUBLIC_PEM, text, hashlib.sha256).digest()),
        unsigned({"alg": "HS256", "kid": "rsa"}, lambda text: hmac.new(json.dumps(PUBLIC[0]).encode(), text, hashlib.sha256).digest()),
        unsigned({"alg": "RS256", "kid": "rsa"}, lambda _: b"x" * 256),
        unsigned({"kid": "rsa"}, lambda _: b""),
        signed(key=RSAKey.generate_key(2048, {"kid": "rsa"})),
        signed(header={"kid": "unknown"}, key=RSAKey.generate_key(2048)),
        signed(header={"kid": None}),  # of several keys, none is named
        signed(header={"jwk": PUBLIC[1], "kid": None, "alg": "ES256"}, key=ECKey.generate_key("P-256")),
        signed(header={"alg": "HS256", "kid": "oct"}, key=OctKey.import_key("a secret of an attacker that is long")),
        signed()[:-4] + "AAAA",
        signed().replace(".", ".e30", 1),
        "",
        "a.b",
        "a.b.c",
        "\u00e9.b.c",
        "x" * 70_000,
    ],
    ids=lambda token: token[:24],
)
def test_a_token_with_a_wrong_signature_is_refused(token: str) -> None:
    with pytest.raises(IdTokenError):
        read_id_token(token, KEYS, EXPECTED)


def test_of_a_key_set_only_public_keys_for_signatures_are_used() -> None:
    other = RSAKey.generate_key(2048, {"kid": "enc", "use": "enc"}).as_dict(private=False)
    secret = {"kty": "oct", "kid": "oct", "k": base64.urlsafe_b64encode(b"a secret of an attacker that is long").decode()}
    document = {"keys": [*PUBLIC, other, secret, {"kty": "RSA"}, {"kty": "EC", "crv": "P-0"}, {"kty": 1}, {}]}

    assert [key.kid for key in read_keys(json.dumps(document).encode())] == ["rsa", "ec"]
    for unreadable in (b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": [1]}'):
        with pytest.raises(IdTokenError):
            read_keys(unreadable)


def test_the_key_that_a_token_names_is_read_without_trust() -> None:
    assert key_id_of(signed()) == "rsa"
    assert key_id_of(signed(header={"kid": None})) is None
    for text in ("", "a", "a.b.c", "e30.e30"):
        with pytest.raises(IdTokenError):
            key_id_of(text)


def test_what_is_read_of_the_claims() -> None:
    person = read_person(
        {"sub": "1", "email": "a@b.example", "email_verified": True, "groups": ["x", 1], "amr": ["mfa"], "acr": "2"}, "groups"
    )

    assert (person.email, person.email_verified, person.groups, person.factors) == ("a@b.example", True, ("x",), frozenset({"mfa", "2"}))
    assert read_person({"sub": "1", "groups": "one"}, "groups").groups == ("one",)
    assert read_person({"sub": "1"}, "groups").groups == ()
    assert read_person({"sub": "1", "_claim_names": {"groups": "src1"}}, "groups").groups is None
    assert read_person({"sub": "1", "groups": ["x"] * 1_001}, "groups").groups is None
    for wrong in (None, False, 1, "yes", "True", [True], {}):
        assert read_person({"sub": "1", "email": "a@b.example", "email_verified": wrong}, "groups").email_verified is False
    for wrong in (1, "", "a\nb", ["a@b.example"], "x" * 2_000):
        assert read_person({"sub": "1", "email": wrong, "email_verified": True}, "groups").email is None


ISSUER = {"id": "acme", "name": "Acme", "issuer": "https://id.example.com", "client_id": "ams", "client_secret": "s"}


def parsed(**changes: Any) -> Issuer:
    return parse_issuers(json.dumps([{**ISSUER, **changes}]), {"secret": " from a file\n", "empty": ""}.__getitem__)[0]


def test_settings_of_providers_are_read_and_completed() -> None:
    assert parse_issuers(" ", str) == []
    item = parsed(scopes=["email", "openid"], email_domains=["@Example.com"])
    assert (item.scopes, item.email_domains) == (["openid", "email"], ["example.com"])
    assert "client_secret='" not in repr(item)
    assert parsed(client_secret="").client_secret == ""
    assert parsed(client_secret="", client_secret_file="secret").client_secret == "from a file"


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://id.example.com"},
        {"issuer": "https://id.example.com?x=1"},
        {"issuer": "https://user@id.example.com"},
        {"issuer": "file:///etc/passwd"},
        {"id": "a/b"},
        {"id": "a\n"},
        {"id": ""},
        {"client_id": ""},
        {"unknown": 1},
        {"client_secret_file": "secret"},
        {"client_secret": "", "client_secret_file": "empty"},
        {"trust_email": True},
        {"roles": [{"group": "x", "project": "y", "role": "owner"}]},
        {"roles": [{"group": "x", "project": PROJECT, "role": "admin"}]},
    ],
    ids=repr,
)
def test_settings_that_cannot_be_used_are_refused_without_the_secret(changes: dict[str, Any]) -> None:
    with pytest.raises(OidcSettingsError) as refused:
        parsed(**changes)
    assert "client_secret='s'" not in str(refused.value)


def test_two_providers_have_ids_and_issuers_of_their_own() -> None:
    for second in ({**ISSUER, "issuer": "https://other.example.com"}, {**ISSUER, "id": "other"}):
        with pytest.raises(OidcSettingsError):
            parse_issuers(json.dumps([ISSUER, second]), str)


def test_addresses_are_https_or_on_loopback() -> None:
    assert all(
        map(
            is_secure_address, ("https://a.example", "https://a.example:8443/x", "http://localhost:9", "http://127.0.0.1", "http://[::1]:9")
        )
    )
    for address in (
        "",
        "a",
        "//a",
        "ftp://a",
        "http://a.example",
        "http://10.0.0.1",
        "https://",
        "https://a#b",
        "https://a:b",
        "https://a b",
        None,
        1,
    ):
        assert not is_secure_address(address)


def test_the_highest_role_of_all_groups_counts() -> None:
    rules = [("x", Role.VIEWER), ("y", Role.OWNER), ("z", Role.MEMBER)]
    item = parsed(roles=[{"group": group, "project": PROJECT, "role": role} for group, role in rules])

    assert roles_of(item, ["z", "x"]) == {PROJECT: Role.MEMBER}
    assert roles_of(item, ["x", "y", "z"]) == {PROJECT: Role.OWNER}
    assert roles_of(item, ["X", "nothing"]) == {}
