"""The validation rules of access tokens. Pure: the key and the time are arguments."""

import re
from typing import Any, TypeVar

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from ams_contracts.claims import SHARE_AUDIENCE, AccessClaims, ShareClaims
from ams_kit.auth.encoding import decode_base64url

ALGORITHM = "EdDSA"
TOKEN_TYPE = "at+jwt"  # noqa: S105  the header's typ (RFC 9068), not a secret
LEEWAY_SECONDS = 10
TOKEN_CHARS_MAX = 4_096  # ours have about 500; a longer token is refused without decoding
LIFE_SECONDS_MAX = 600  # identity issues tokens for ten minutes, so a longer life means another issuer
TIME_MAX_S = 253_402_300_799

_HEADER_NAMES = frozenset({"alg", "typ", "kid"})  # so no crit, b64, zip or cty, and no key that a token brings along
_DOTS = 2  # header, payload, signature; a JWE has four
_KID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_JTI = re.compile(r"[A-Za-z0-9_-]{1,64}")


class TokenError(ValueError):
    """The token is not valid. The text names the violated rule and does not contain the token."""


class _Claims(AccessClaims, frozen=True, kw_only=True):
    nbf: int | None = None


class _ShareClaims(ShareClaims, frozen=True, kw_only=True):
    nbf: int | None = None


class _Audience(Struct):
    aud: Any = None


_claims = msgspec.json.Decoder(_Claims)
_share_claims = msgspec.json.Decoder(_ShareClaims)
_audience = msgspec.json.Decoder(_Audience)
_jws = jwt.PyJWS(algorithms=[ALGORITHM])


def is_uuid(text: str) -> bool:
    """Whether an id has the canonical form: lower-case UUID text."""
    return _UUID.fullmatch(text) is not None


def key_id_of(token: str) -> str:
    """Read the ``kid`` of a token and check its header. The signature is not verified yet.

    Raises:
        TokenError: The size, form, algorithm, type, ``kid`` or the names in the header are not those of our tokens.
    """
    if len(token) > TOKEN_CHARS_MAX or token.count(".") != _DOTS or not token.isascii():
        raise TokenError("form")
    try:
        parts = [decode_base64url(part) for part in token.split(".")]  # PyJWT accepts padding and other spellings of the same bytes
        header = _jws.get_unverified_header(token)
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise TokenError("header") from error
    # a byte order mark, or JSON in UTF-16, is read by json.loads and by nobody who signs
    if not all(part.startswith(b"{") for part in parts[:2]):
        raise TokenError("form")
    if header.get("alg") != ALGORITHM or header.get("typ") != TOKEN_TYPE or not header.keys() <= _HEADER_NAMES:
        raise TokenError("header")
    kid = header.get("kid")
    if not isinstance(kid, str) or _KID.fullmatch(kid) is None:
        raise TokenError("kid")
    return kid


def read_claims(token: str, key: Ed25519PublicKey | None, *, issuer: str, audience: str, now_s: float) -> AccessClaims:
    """Verify a token and return its claims.

    Args:
        token: The token as sent.
        key: The public key of its ``kid``; ``None`` when there is none.
        issuer: The required value of ``iss``.
        audience: The required value of ``aud``; a list of audiences is refused.
        now_s: Seconds since the epoch.

    Raises:
        TokenError: The signature is wrong, a claim is missing, of the wrong type or out of bounds, or the token is not valid now.
    """
    claims = _verified(token, key, _claims)
    _require_valid(claims, claims.nbf, issuer=issuer, audience=audience, now_s=now_s)
    return claims


def read_share_claims(token: str, key: Ed25519PublicKey | None, *, issuer: str, now_s: float) -> ShareClaims:
    """Verify the token of a visitor of a public link and return its claims.

    Args:
        token: The token as sent.
        key: The public key of its ``kid``; ``None`` when there is none.
        issuer: The required value of ``iss``.
        now_s: Seconds since the epoch.

    Raises:
        TokenError: As ``read_claims``, or the token is not for one link.
    """
    claims = _verified(token, key, _share_claims)
    _require_valid(claims, claims.nbf, issuer=issuer, audience=SHARE_AUDIENCE, now_s=now_s)
    if claims.sub != claims.sid or not is_uuid(claims.project_id):
        raise TokenError("subject")
    return claims


def is_share_token(token: str) -> bool:
    """Whether a token says that it is of a public link. Nothing is verified: the answer chooses the rules that verify the token."""
    try:
        return _audience.decode(decode_base64url(token.split(".", _DOTS)[1])).aud == SHARE_AUDIENCE
    except (IndexError, msgspec.MsgspecError, ValueError, RecursionError):
        return False


_Decoded = TypeVar("_Decoded", bound=AccessClaims)


def _verified(token: str, key: Ed25519PublicKey | None, decoder: "msgspec.json.Decoder[_Decoded]") -> _Decoded:
    if key is None:
        raise TokenError("kid")
    try:
        return decoder.decode(_jws.decode(token, key, algorithms=[ALGORITHM]))
    except (jwt.InvalidTokenError, msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise TokenError("signature or claims") from error


def _require_valid(claims: AccessClaims, nbf: int | None, *, issuer: str, audience: str, now_s: float) -> None:
    if claims.iss != issuer or claims.aud != audience:
        raise TokenError("issuer or audience")
    if not is_uuid(claims.sub) or not is_uuid(claims.sid) or _JTI.fullmatch(claims.jti) is None:
        raise TokenError("subject")
    # compared as integers of any size: a float of 10**400 would overflow
    if not 0 < claims.iat < claims.exp <= TIME_MAX_S:
        raise TokenError("times")
    if claims.exp - claims.iat > LIFE_SECONDS_MAX:
        raise TokenError("life")
    not_before = max(claims.iat, nbf or 0)
    if not_before > now_s + LEEWAY_SECONDS or claims.exp <= now_s - LEEWAY_SECONDS:
        raise TokenError("not valid now")
