"""Verification of ID tokens (OpenID Connect Core, 3.1.3.7) and what is read of them. Pure functions over the library ``joserfc``."""

import hashlib
import hmac
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jws import JWSRegistry, extract_compact
from msgspec import Struct

from ams_kit.auth.encoding import encode_base64url

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Signatures with a public key. Never ``none``, and never an HMAC, whose key could be the provider's public one."""
TOKEN_CHARS_MAX = 65_536
KEYS_MAX = 100
SUBJECT_CHARS_MAX = 255
GROUPS_MAX = 1_000
LEEWAY_SECONDS = 60
AGE_SECONDS_MAX = 600  # a token was made for this sign-in, seconds ago
_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}

Reason = Literal["forged", "clock"]


class IdTokenError(ValueError):
    """A token that is not accepted.

    Attributes:
        reason: ``clock`` when its times are the only fault: two clocks differ. Else ``forged``.
        detail: For the log, without content of the token.
    """

    def __init__(self, detail: str, reason: Reason = "forged") -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason: Reason = reason


class Expected(Struct, frozen=True, kw_only=True):
    """What a token must say. ``access_token``: of the same answer, whose hash the token may have."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str | None
    now_s: float


class Person(Struct, frozen=True, kw_only=True):
    """What a provider says about the person who signed in.

    Attributes:
        subject: The identity: unique and stable at its issuer, unlike an address.
        email_verified: Whether the provider says that the person reads the address.
        groups: ``None`` when the provider left them out because there are too many.
        factors: The values of ``amr`` and ``acr``.
        auth_time_s: When the person proved who they are; ``None`` when the provider does not say.
    """

    subject: str
    email: str | None
    email_verified: bool
    username: str | None
    groups: tuple[str, ...] | None
    factors: frozenset[str]
    auth_time_s: float | None


class _JwksDocument(Struct, frozen=True):
    keys: list[dict[str, Any]]


_jwks = msgspec.json.Decoder(_JwksDocument)


def read_keys(document: bytes) -> KeySet:
    """The public keys of a JWKS document. Leaves out secrets, keys for encryption, and keys of unknown kinds.

    Raises:
        IdTokenError: It is no such document.
    """
    try:
        found = _jwks.decode(document).keys[:KEYS_MAX]
    except msgspec.DecodeError as error:
        raise IdTokenError("the keys cannot be read") from error
    keys: list[Key] = []
    for item in found:
        if item.get("kty") not in {"RSA", "EC", "OKP"} or item.get("use", "sig") != "sig":
            continue
        try:
            keys.append(JWKRegistry.import_key(item))
        except (JoseError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
            continue
    return KeySet(keys)


def key_id_of(token: str) -> str | None:
    """The ``kid`` that an unverified token names.

    Raises:
        IdTokenError: It is no token.
    """
    try:
        kid: Any = extract_compact(token[:TOKEN_CHARS_MAX].encode()).headers().get("kid")
    except (JoseError, ValueError, TypeError, AttributeError) as error:
        raise IdTokenError("not a token") from error
    return kid if isinstance(kid, str) else None


def read_id_token(token: str, keys: KeySet, expected: Expected) -> dict[str, Any]:
    """Verify signature, algorithm, issuer, audience, authorized party, times, nonce and the hash of the access token.

    Returns:
        The claims.

    Raises:
        IdTokenError: A check failed.
    """
    if len(token) > TOKEN_CHARS_MAX:
        raise IdTokenError("the token is too long")
    try:
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        decoded = jwt.decode(token, keys, algorithms=ALGORITHMS, registry=registry)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, UnsupportedAlgorithm) as error:
        raise IdTokenError(f"the signature is not valid: {type(error).__name__}") from error
    claims: dict[str, Any] = decoded.claims
    essential: dict[str, Any] = {
        "iss": {"essential": True, "value": expected.issuer},
        "sub": {"essential": True},
        "aud": {"essential": True, "value": expected.client_id},
        "nonce": {"essential": True, "value": expected.nonce},
        "exp": {"essential": True},
    }
    registry_of_claims = jwt.JWTClaimsRegistry(now=int(expected.now_s), leeway=LEEWAY_SECONDS, **essential)
    expired = False  # judged with the other times: a clock may be the only fault
    try:
        registry_of_claims.validate({name: claims[name] for name in essential if name in claims})
    except ExpiredTokenError:
        expired = True
    except (JoseError, ValueError, TypeError) as error:
        raise IdTokenError(f"a claim is not acceptable: {type(error).__name__}") from error
    _check_parties(claims, expected)
    _check_access_token(claims, str(decoded.header["alg"]), expected)
    _check_times(claims, expected.now_s, expired=expired)
    return claims


def _check_parties(claims: Mapping[str, Any], expected: Expected) -> None:
    audience: Any = claims["aud"]
    several = isinstance(audience, list) and audience != [expected.client_id]
    party = claims.get("azp")
    if (several and party is None) or party not in {None, expected.client_id}:
        raise IdTokenError("azp is not this client")
    if not 0 < len(claims["sub"]) <= SUBJECT_CHARS_MAX or not claims["sub"].isprintable():
        raise IdTokenError("sub is not acceptable")


def _check_access_token(claims: Mapping[str, Any], algorithm: str, expected: Expected) -> None:
    stated: Any = claims.get("at_hash")
    if stated is None:
        return
    if not isinstance(stated, str) or expected.access_token is None:
        raise IdTokenError("at_hash has no access token")
    digest = _HASHES.get(algorithm[-3:], hashlib.sha512)(expected.access_token.encode()).digest()
    if not hmac.compare_digest(stated.encode(), encode_base64url(digest[: len(digest) // 2]).encode()):
        raise IdTokenError("at_hash is of another access token")


def _check_times(claims: Mapping[str, Any], now_s: float, *, expired: bool) -> None:
    issued = _seconds(claims.get("iat"))
    if issued is None:
        raise IdTokenError("iat is missing")
    if (
        expired
        or (_seconds(claims.get("nbf", 0)) or 0) > now_s + LEEWAY_SECONDS
        or not now_s - AGE_SECONDS_MAX - LEEWAY_SECONDS <= issued <= now_s + LEEWAY_SECONDS
    ):
        raise IdTokenError("the token is expired, or from another time", "clock")


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def read_person(claims: Mapping[str, Any], groups_claim: str) -> Person:
    """What the claims of a verified token, completed by the userinfo, say about the person."""
    email = _text(claims.get("email"))
    names: Any = claims.get("_claim_names")
    too_many = isinstance(names, dict) and groups_claim in names
    groups = _texts(claims.get(groups_claim))
    return Person(
        subject=claims["sub"],
        email=email,
        email_verified=email is not None and (claims.get("email_verified") is True or claims.get("email_verified") == "true"),
        username=_text(claims.get("preferred_username")),
        groups=None if too_many or len(groups) > GROUPS_MAX else groups,
        factors=frozenset([*_texts(claims.get("amr")), *_texts(claims.get("acr"))]),
        auth_time_s=_seconds(claims.get("auth_time")),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 1_000 and value.isprintable() else None  # noqa: PLR2004  more than any name has


def _texts(value: Any) -> tuple[str, ...]:
    """The texts of a claim that is one text or a list."""
    found: Sequence[Any] = value if isinstance(value, list) else [value]
    return tuple(item for item in found if isinstance(item, str))
