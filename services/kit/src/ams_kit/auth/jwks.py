"""Fetches and caches identity's public keys by ``kid``, from its JWKS document."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import httpx
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import UNSET, Struct, UnsetType

from ams_kit.auth.encoding import decode_base64url, encode_base64url
from ams_kit.errors import UnavailableError

JWKS_PATH = "/.well-known/jwks.json"
FETCH_PAUSE_SECONDS = 1  # so that a thousand tokens with random kids cause one fetch
KEYS_MAX = 64  # identity publishes at most this many: the next key, the current one, and those whose tokens may still arrive
KEYS_STALE_AFTER_SECONDS = 60  # after this long a service knows which keys were replaced or withdrawn
SIGNED_AFTER_END_SECONDS = 60  # a replica of identity may use a key for this long after it was replaced

logger = structlog.get_logger(__name__)


class Jwk(Struct, frozen=True, kw_only=True):
    """An Ed25519 public key (RFC 8037). ``signs_until``: when it was replaced, in seconds since the epoch; absent for the current and the next key."""

    kid: str
    x: str
    signs_until: int | UnsetType = UNSET
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = "EdDSA"
    use: str = "sig"


class Jwks(Struct, frozen=True):
    """The document at ``/.well-known/jwks.json``."""

    keys: list[Jwk]


_jwks = msgspec.json.Decoder(Jwks)


class VerificationKey(Struct, frozen=True):
    """A public key, and when it was replaced, in seconds since the epoch (``None``: it was not)."""

    public_key: Ed25519PublicKey
    signs_until_s: int | None = None

    def may_have_signed_at(self, issued_s: int) -> bool:
        """Whether identity may have signed a token with this key at a time. A replaced key that was stolen therefore makes no new tokens."""
        return self.signs_until_s is None or issued_s <= self.signs_until_s + SIGNED_AFTER_END_SECONDS


def jwk_of(kid: str, key: Ed25519PublicKey, signs_until_s: int | None = None) -> Jwk:
    """Build the JWK of a public key."""
    return Jwk(kid=kid, x=encode_base64url(key.public_bytes_raw()), signs_until=UNSET if signs_until_s is None else signs_until_s)


class KeySource(Protocol):
    """Provides public keys to a verifier."""

    async def key(self, kid: str) -> VerificationKey | None:
        """Return the key with this id, or ``None`` when identity has no such key.

        Raises:
            UnavailableError: The key is not known and identity does not answer.
        """
        ...


class JwksKeys:
    """Fetches keys from identity: at first use, for an unknown ``kid`` (at most once a second), and every minute."""

    def __init__(self, http: httpx.AsyncClient, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._monotonic = monotonic
        self._keys: dict[str, VerificationKey] = {}
        self._failed = True
        self._tried_at = -1e9
        self._fetched_at = -1e9
        self._lock = asyncio.Lock()

    async def key(self, kid: str) -> VerificationKey | None:
        known = self._keys.get(kid)
        if known is not None and self._monotonic() - self._fetched_at < KEYS_STALE_AFTER_SECONDS:
            return known
        async with self._lock:
            if self._monotonic() - self._tried_at >= FETCH_PAUSE_SECONDS:
                await self._fetch()
        known = self._keys.get(kid)
        if known is None and self._failed:  # it may be a new key
            raise UnavailableError("Identity does not answer, so tokens cannot be verified. Try again.")
        return known

    async def _fetch(self) -> None:
        self._tried_at = self._monotonic()
        self._failed = True
        try:
            response = await self._http.get(JWKS_PATH)
            response.raise_for_status()
            document = _jwks.decode(response.content)
            if len(document.keys) > KEYS_MAX:
                raise ValueError("too many keys")  # noqa: TRY301  handled like every other document that cannot be used
            keys = {jwk.kid: _verification_key(jwk) for jwk in document.keys if jwk.crv == "Ed25519"}
        except (httpx.HTTPError, msgspec.MsgspecError, ValueError) as error:
            logger.warning("fetching the public keys of identity failed", error_type=type(error).__name__)
            return
        self._keys = keys
        self._failed = False
        self._fetched_at = self._monotonic()


def _verification_key(jwk: Jwk) -> VerificationKey:
    until_s = None if isinstance(jwk.signs_until, UnsetType) else jwk.signs_until
    return VerificationKey(Ed25519PublicKey.from_public_bytes(decode_base64url(jwk.x)), until_s)
