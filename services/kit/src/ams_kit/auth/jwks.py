"""Fetches and caches identity's public keys by ``kid``, from its JWKS document."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import httpx
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from ams_kit.auth.encoding import decode_base64url, encode_base64url
from ams_kit.errors import UnavailableError

JWKS_PATH = "/.well-known/jwks.json"
FETCH_PAUSE_SECONDS = 10  # so that a thousand tokens with random kids cause one fetch
FAILED_FETCH_PAUSE_SECONDS = 1  # shorter while no key is known, because identity may be starting
KEYS_MAX = 64  # identity publishes two or three: the current key, and older ones whose tokens are still valid
KEYS_STALE_AFTER_SECONDS = 300  # after this long a key that identity withdrew is no longer accepted

logger = structlog.get_logger(__name__)


class Jwk(Struct, frozen=True, kw_only=True):
    """An Ed25519 public key (RFC 8037)."""

    kid: str
    x: str
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = "EdDSA"
    use: str = "sig"


class Jwks(Struct, frozen=True):
    """The document at ``/.well-known/jwks.json``."""

    keys: list[Jwk]


_jwks = msgspec.json.Decoder(Jwks)


def jwk_of(kid: str, key: Ed25519PublicKey) -> Jwk:
    """Build the JWK of a public key."""
    return Jwk(kid=kid, x=encode_base64url(key.public_bytes_raw()))


class KeySource(Protocol):
    """Provides public keys to a verifier."""

    async def key(self, kid: str) -> Ed25519PublicKey | None:
        """Return the key with this id, or ``None`` when identity has no such key.

        Raises:
            UnavailableError: No key is known and identity does not answer.
        """
        ...


class JwksKeys:
    """Fetches keys from identity: at first use, for an unknown ``kid`` (at most every 10 s), and every 5 minutes."""

    def __init__(self, http: httpx.AsyncClient, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._monotonic = monotonic
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._tried_at = -1e9
        self._fetched_at = -1e9
        self._lock = asyncio.Lock()

    async def key(self, kid: str) -> Ed25519PublicKey | None:
        known = self._keys.get(kid)
        if known is not None and self._monotonic() - self._fetched_at < KEYS_STALE_AFTER_SECONDS:
            return known
        async with self._lock:
            pause = FETCH_PAUSE_SECONDS if self._keys else FAILED_FETCH_PAUSE_SECONDS
            if self._monotonic() - self._tried_at >= pause:
                await self._fetch()
        if not self._keys:
            raise UnavailableError("Identity does not answer, so tokens cannot be verified. Try again.")
        return self._keys.get(kid)

    async def _fetch(self) -> None:
        self._tried_at = self._monotonic()
        try:
            response = await self._http.get(JWKS_PATH)
            response.raise_for_status()
            document = _jwks.decode(response.content)
            if len(document.keys) > KEYS_MAX:
                raise ValueError("too many keys")  # noqa: TRY301  handled like every other document that cannot be used
            keys = {jwk.kid: Ed25519PublicKey.from_public_bytes(decode_base64url(jwk.x)) for jwk in document.keys if jwk.crv == "Ed25519"}
        except (httpx.HTTPError, msgspec.MsgspecError, ValueError) as error:
            logger.warning("fetching the public keys of identity failed", error_type=type(error).__name__)
            return
        self._keys = keys
        self._fetched_at = self._monotonic()
