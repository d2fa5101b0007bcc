"""The signing key: created once, stored in the database, encrypted with ``AMS_SECRET_KEY``."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ams_identity.store import signing_keys
from ams_identity.store.signing_keys import WrappedKey
from ams_identity.tokens import derive_key, sign
from ams_kit.auth.jwks import Jwk, jwk_of
from ams_kit.errors import UnavailableError

RELOAD_PAUSE_SECONDS = 10
NONCE_BYTES = 12


class WrongSecretError(RuntimeError):
    """The keys in the database were encrypted with another ``AMS_SECRET_KEY``."""

    def __init__(self) -> None:
        super().__init__("AMS_SECRET_KEY differs from the one that encrypted the signing key in this database. Set the original value.")


def wrap(private_key: Ed25519PrivateKey, wrapping_key: bytes, at: datetime) -> WrappedKey:
    """Create a key in its stored form."""
    kid, nonce = secrets.token_hex(8), secrets.token_bytes(NONCE_BYTES)
    wrapped = AESGCM(wrapping_key).encrypt(nonce, private_key.private_bytes_raw(), kid.encode())
    return WrappedKey(kid=kid, public_key=private_key.public_key().public_bytes_raw(), nonce=nonce, wrapped_key=wrapped, created_at=at)


def unwrap(key: WrappedKey, wrapping_key: bytes) -> Ed25519PrivateKey:
    """Decrypt a stored key.

    Raises:
        WrongSecretError: It was encrypted with another secret.
    """
    try:
        return Ed25519PrivateKey.from_private_bytes(AESGCM(wrapping_key).decrypt(key.nonce, key.wrapped_key, key.kid.encode()))
    except InvalidTag as error:
        raise WrongSecretError from error


class SigningKeys:
    """Signs tokens, and provides identity's own public keys (implements ``ams_kit.auth.jwks.KeySource``)."""

    def __init__(self, pool: asyncpg.Pool, secret: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._wrapping_key = derive_key(secret, "signing key")
        self._monotonic = monotonic
        self._loaded_at = -1e9
        self._signer: tuple[str, Ed25519PrivateKey] | None = None
        self._public: dict[str, Ed25519PublicKey] = {}

    async def load(self) -> None:
        """Read the keys, or create the first one.

        Raises:
            WrongSecretError: They were encrypted with another secret.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            stored = await signing_keys.current(connection)
            if not stored:
                await signing_keys.lock(connection)
                stored = await signing_keys.current(connection)
            if not stored:
                stored = [wrap(Ed25519PrivateKey.generate(), self._wrapping_key, datetime.now(UTC))]
                await signing_keys.insert(connection, stored[0])
        self._signer = stored[0].kid, unwrap(stored[0], self._wrapping_key)
        self._public = {key.kid: Ed25519PublicKey.from_public_bytes(key.public_key) for key in stored}
        self._loaded_at = self._monotonic()

    async def key(self, kid: str) -> Ed25519PublicKey | None:
        if kid not in self._public and self._monotonic() - self._loaded_at > RELOAD_PAUSE_SECONDS:
            await self.load()  # another process may have created one before this one got the lock
        return self._public.get(kid)

    def jwks(self) -> list[Jwk]:
        """The public keys in the published form."""
        return [jwk_of(kid, key) for kid, key in self._public.items()]

    def sign(self, claims: dict[str, Any]) -> str:
        """Sign a token with these claims.

        Raises:
            UnavailableError: The keys are not loaded yet, because the database is unavailable.
        """
        if self._signer is None:
            raise UnavailableError("The signing key is not loaded yet. Try again in a few seconds.")
        kid, key = self._signer
        return sign(key, kid, claims)
