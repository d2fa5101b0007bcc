"""Public keys of identity by ``kid``, from its JWKS document."""

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
FETCH_PAUSE_SECONDS = 10  # a thousand tokens with random kids make one fetch
FAILED_FETCH_PAUSE_SECONDS = 1  # while no key is known at all, a starting identity is asked again soon
KEYS_MAX = 64  # identity publishes two or three: the current one, and those whose tokens are still valid
KEYS_STALE_AFTER_SECONDS = 300  # a key that identity withdrew is forgotten after this

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
    """A public key as it is published."""
    return Jwk(kid=kid, x=encode_base64url(key.public_bytes_raw()))


class KeySource(Protocol):
    """Where a verifier finds public keys."""

    async def key(self, kid: str) -> Ed25519PublicKey | None:
        """The key of that id, or ``None`` when identity has no such key.

        Raises:
            UnavailableError: No key is known and identity does not answer.
        """
        ...


class JwksKeys:
    """Keys fetched from identity: at first use, when an unknown ``kid`` comes (at most every 10 s), and every 5 minutes."""

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
            raise UnavailableError("Identity does not answer; tokens cannot be checked.")
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
            logger.warning("keys of identity not fetched", error_type=type(error).__name__)
            return
        self._keys = keys
        self._fetched_at = self._monotonic()
