"""The validation rules of access tokens."""

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ams_contracts.claims import AUDIENCE
from ams_kit.auth.encoding import decode_base64url, encode_base64url
from ams_kit.auth.tokens import TokenError, key_id_of, read_claims

ISSUER = "http://localhost:8080"
NOW = 1_800_000_000
KEY = Ed25519PrivateKey.generate()
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "01a21694-ccfc-729b-875e-0134125cd00e",
    "sid": "01a21694-cd2c-7f08-a87d-01c0017fc8f1",
    "jti": "sfrpvn7lCuF3B2xPc1k5w7",
    "iat": NOW,
    "exp": NOW + 600,
}


def signed(claims: dict[str, Any] | str, **header: Any) -> str:
    """Sign any claims with identity's key."""
    head = encode_base64url(json.dumps({"alg": "EdDSA", "typ": "at+jwt", "kid": "k1", **header}).encode())
    body = encode_base64url((claims if isinstance(claims, str) else json.dumps(claims)).encode())
    return f"{head}.{body}.{encode_base64url(KEY.sign(f'{head}.{body}'.encode()))}"


def read(token: str, now_s: float = NOW) -> Any:
    return read_claims(token, KEY.public_key(), issuer=ISSUER, audience=AUDIENCE, now_s=now_s)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


def test_a_valid_token_is_accepted() -> None:
    token = signed(CLAIMS)

    assert key_id_of(token) == "k1"
    assert read(token).sub == CLAIMS["sub"]


def test_the_leeway_is_ten_seconds() -> None:
    for name in ("iat", "nbf"):
        assert read(signed({**CLAIMS, name: NOW + 5})).jti  # A83
        with pytest.raises(TokenError):
            read(signed({**CLAIMS, name: NOW + 11}))
    assert read(signed(CLAIMS), now_s=NOW + 609).jti
    with pytest.raises(TokenError):
        read(signed(CLAIMS), now_s=NOW + 610)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({**CLAIMS, "aud": "ams-ingest"}, id="A81-wrong-aud"),
        pytest.param(without("aud"), id="A81-no-aud"),
        pytest.param({**CLAIMS, "aud": [AUDIENCE]}, id="A81-list-aud"),
        pytest.param({**CLAIMS, "iss": ISSUER + "/"}, id="A81-wrong-iss"),
        pytest.param(without("iss"), id="A81-no-iss"),
        pytest.param({**CLAIMS, "exp": 1e300}, id="A85-float"),
        pytest.param({**CLAIMS, "exp": "zz"}, id="A85-text"),
        pytest.param({**CLAIMS, "exp": -1}, id="A85-negative"),
        pytest.param({**CLAIMS, "exp": None}, id="A85-null"),
        pytest.param({**CLAIMS, "exp": True}, id="exp-bool"),
        pytest.param(without("exp"), id="no-exp"),
        pytest.param(json.dumps(CLAIMS).replace(str(NOW + 600), "1" + "0" * 400), id="A85-10**400"),
        pytest.param(json.dumps(CLAIMS).replace(str(NOW), "-1" + "0" * 400), id="iat-10**400"),
        pytest.param({**CLAIMS, "nbf": 10**400}, id="nbf-10**400"),
        pytest.param({**CLAIMS, "exp": NOW}, id="exp-not-after-iat"),
        pytest.param(without("iat"), id="no-iat"),
        pytest.param({**CLAIMS, "sub": 7}, id="A86-int"),
        pytest.param({**CLAIMS, "sub": ""}, id="A86-empty"),
        pytest.param({**CLAIMS, "sub": "x" * 10_240}, id="A86-long"),
        pytest.param({**CLAIMS, "sub": CLAIMS["sub"] + "\n"}, id="sub-newline"),
        pytest.param({**CLAIMS, "sid": "x"}, id="sid"),
        pytest.param({**CLAIMS, "jti": "a b"}, id="jti"),
        pytest.param(without("jti"), id="no-jti"),
        pytest.param("[]", id="list"),
        pytest.param("null", id="null"),
        pytest.param("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), id="not-json"),
        pytest.param("[" * 2_000, id="deep"),
    ],
)
def test_signed_tokens_with_invalid_claims_are_refused(claims: dict[str, Any] | str) -> None:
    with pytest.raises(TokenError):
        read(signed(claims))


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({"alg": "none"}, id="none"),
        pytest.param({"alg": "HS256"}, id="hs256"),
        pytest.param({"alg": "ES256"}, id="es256"),
        pytest.param({"alg": None}, id="null"),
        pytest.param({"typ": "JWT"}, id="typ"),
        pytest.param({"typ": "svc+jwt"}, id="service"),
        pytest.param({"typ": None}, id="no-typ"),
        pytest.param({"crit": ["x"]}, id="A78-crit"),
        pytest.param({"crit": []}, id="empty-crit"),
        pytest.param({"b64": False}, id="b64"),
        pytest.param({"kid": "../../dev/null"}, id="A75-path"),
        pytest.param({"kid": "' UNION SELECT"}, id="A75-sql"),
        pytest.param({"kid": "k" * 65}, id="A75-long"),
        pytest.param({"kid": ""}, id="A75-empty"),
        pytest.param({"kid": 5}, id="A75-int"),
        pytest.param({"kid": None}, id="no-kid"),
        pytest.param({"kid": "k\n"}, id="newline"),
    ],
)
def test_an_unexpected_header_is_refused_before_the_key_lookup(header: dict[str, Any]) -> None:
    with pytest.raises(TokenError):
        key_id_of(signed(CLAIMS, **header))


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "...", "a.b.c", "a.b.c.d.e", "é.é.é", "=.=.=", "x" * 200_000, "e30.e30.e30",
        pytest.param(encode_base64url(b"[" * 2_000) + ".e30.e30", id="deep-header"),
        pytest.param(encode_base64url(b"\xff\xfe") + ".e30.e30", id="header-not-utf8"),
    ],
)  # fmt: skip
def test_malformed_tokens_are_refused(token: str) -> None:
    with pytest.raises(TokenError):
        key_id_of(token)


def test_a_changed_token_is_refused() -> None:
    head, body, signature = signed(CLAIMS).split(".")
    other = encode_base64url(json.dumps({**CLAIMS, "sub": CLAIMS["sid"]}).encode())

    for forged in (f"{head}.{other}.{signature}", f"{head}.{body}.", f"{head}.{body}.{signature[:-4]}", f"{head}.{body}.{signature}="):
        with pytest.raises(TokenError):
            read(forged)
    with pytest.raises(TokenError):
        read_claims(f"{head}.{body}.{signature}", Ed25519PrivateKey.generate().public_key(), issuer=ISSUER, audience=AUDIENCE, now_s=NOW)
    with pytest.raises(TokenError):
        read_claims(f"{head}.{body}.{signature}", None, issuer=ISSUER, audience=AUDIENCE, now_s=NOW)


def test_tokens_of_another_library_are_accepted() -> None:
    token = jwt.encode(
        {**CLAIMS, "iat": int(time.time()), "exp": int(time.time()) + 60}, KEY, algorithm="EdDSA", headers={"typ": "at+jwt", "kid": "k1"}
    )

    assert read(token, now_s=time.time()).aud == AUDIENCE


@pytest.mark.parametrize("text", ["a", "aa=", "a+b/", "ab\n", "AB", "é"])
def test_base64url_accepts_only_the_canonical_encoding(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        decode_base64url(text)


def raw(head: bytes, body: bytes, pad: str = "") -> str:
    """Sign any bytes as header and claims, with characters after each part."""
    text = f"{encode_base64url(head)}{pad}.{encode_base64url(body)}{pad}"
    return f"{text}.{encode_base64url(KEY.sign(text.encode()))}"


HEAD = json.dumps({"alg": "EdDSA", "typ": "at+jwt", "kid": "k1"}).encode()
BODY = json.dumps(CLAIMS).encode()


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(raw(HEAD + b" ", BODY + b"  ", pad="="), id="padding"),
        pytest.param(raw(b"\xef\xbb\xbf" + HEAD, BODY), id="mark-before-the-header"),
        pytest.param(raw(HEAD, b"\xef\xbb\xbf" + BODY), id="mark-before-the-claims"),
        pytest.param(raw(HEAD.decode().encode("utf-16"), BODY), id="utf-16"),
        pytest.param(raw(b" " + HEAD, BODY), id="space-first"),
        pytest.param(signed(CLAIMS, zip="DEF"), id="zip"),
        pytest.param(signed(CLAIMS, cty="JWT"), id="cty"),
        pytest.param(signed(CLAIMS, crit=["x"]), id="crit"),
        pytest.param(signed(CLAIMS, jwk={"kty": "OKP"}), id="jwk"),
        pytest.param(signed(CLAIMS, jku="http://x"), id="jku"),
        pytest.param(signed(CLAIMS) + "=", id="padded-signature"),
        pytest.param(signed({**CLAIMS, "exp": NOW + 601}), id="long-life"),
        pytest.param(signed({**CLAIMS, "iat": NOW - 86_400}), id="old"),
    ],
)
def test_a_token_that_identity_would_not_write_is_refused(token: str) -> None:
    def verify() -> None:
        key_id_of(token)
        read(token)

    with pytest.raises(TokenError):
        verify()


def test_the_same_token_with_plain_bytes_is_accepted() -> None:
    token = raw(HEAD, BODY)

    assert key_id_of(token) == "k1"
    assert read(token).jti
