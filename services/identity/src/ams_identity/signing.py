"""The signing keys: stored in the database, encrypted with a key of the root secret, and rotated without a pause (ADR 0089).

The next key is published before it signs, so that every service knows it by then. A replaced key stays published for as long as a record that it signed may be on the log.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from ams_identity.root_secret import RootSecret, WrongSecretError
from ams_identity.store import Executor, signing_keys
from ams_identity.store.signing_keys import PUBLISHED_MAX, WrappedKey
from ams_identity.tokens import sign
from ams_kit.auth.jwks import FETCH_PAUSE_SECONDS, Jwk, VerificationKey, jwk_of
from ams_kit.errors import ConflictError, UnavailableError

RELOAD_SECONDS = 2.0
RELOAD_PAUSE_SECONDS = FETCH_PAUSE_SECONDS
SIGNS_AFTER = timedelta(seconds=5)  # every replica of identity has read by then that its key is replaced
PUBLISHED_BEFORE = timedelta(
    seconds=15
)  # a replica reads it after 2 s, a service asks again after 1 s, a cache of the document after 5 s, clocks differ
STALE_SECONDS = 30  # a replica that has not read the keys for this long might sign with a replaced one
PRIVATE_KEPT = timedelta(hours=1)
PUBLIC_KEPT = timedelta(days=8)  # ams.inbound.v1 keeps signed records for 7 days
NONCE_BYTES = 12
PURPOSE = "signing key"


class KeyRotation(Struct, frozen=True, kw_only=True):
    """What a rotation did: the key that signs from a time on, the next one after it, and how many keys are published."""

    kid: str
    signs_from: datetime
    next_kid: str
    published: int


def wrap(private_key: Ed25519PrivateKey, wrapping_key: bytes, at: datetime, *, signs_from: datetime | None = None) -> WrappedKey:
    """Create a key in its stored form."""
    kid, nonce = secrets.token_hex(8), secrets.token_bytes(NONCE_BYTES)
    wrapped = AESGCM(wrapping_key).encrypt(nonce, private_key.private_bytes_raw(), kid.encode())
    public_key = private_key.public_key().public_bytes_raw()
    return WrappedKey(kid=kid, public_key=public_key, nonce=nonce, wrapped_key=wrapped, created_at=at, signs_from=signs_from)


def unwrap(key: WrappedKey, wrapping_key: bytes) -> Ed25519PrivateKey:
    """Decrypt a stored key.

    Raises:
        WrongSecretError: It was encrypted with another secret.
    """
    if key.nonce is None or key.wrapped_key is None:
        raise ValueError("the private key was deleted")
    try:
        return Ed25519PrivateKey.from_private_bytes(AESGCM(wrapping_key).decrypt(key.nonce, key.wrapped_key, key.kid.encode()))
    except InvalidTag as error:
        raise WrongSecretError from error


class Signer(Struct, frozen=True):
    """A private key, and from when it signs, in seconds since the epoch."""

    kid: str
    key: Ed25519PrivateKey
    from_s: float


def signer_at(signers: Sequence[Signer], now_s: float) -> Signer | None:
    """The key that signs at a time: of those that have begun, the last one. Before all of them, by a clock that is behind, the first one."""
    begun = [signer for signer in signers if signer.from_s <= now_s]
    if begun:
        return max(begun, key=lambda signer: signer.from_s)
    return min(signers, key=lambda signer: signer.from_s, default=None)


class SigningKeys:
    """Signs tokens, and provides identity's own public keys (implements ``ams_kit.auth.jwks.KeySource``)."""

    def __init__(
        self, pool: asyncpg.Pool, root: RootSecret, *, now_s: Callable[[], float], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._root = root
        self._now_s = now_s
        self._monotonic = monotonic
        self._loaded_at = -1e9
        self._signers: list[Signer] = []
        self._public: dict[str, VerificationKey] = {}

    async def load(self) -> None:
        """Read the keys; create the current and the next one where they are missing.

        Raises:
            WrongSecretError: They were encrypted with another secret.
        """
        await self._root.load()
        loaded_at = self._monotonic()
        stored = await signing_keys.published(self._pool)
        if not _has_both(stored):
            async with self._pool.acquire() as connection, connection.transaction():
                stored = await self._complete(connection)
        wrapping_key, known = self._root.key(PURPOSE), {signer.kid: signer.key for signer in self._signers}
        self._signers = [
            Signer(key.kid, known.get(key.kid) or unwrap(key, wrapping_key), key.signs_from.timestamp())
            for key in stored
            if key.signs_from is not None and key.wrapped_key is not None
        ]
        self._public = {key.kid: _verification_key(key) for key in stored}
        self._loaded_at = loaded_at

    async def _complete(self, connection: Executor) -> list[WrappedKey]:
        await signing_keys.lock(connection)
        stored = await signing_keys.published(connection)
        at = datetime.fromtimestamp(self._now_s(), UTC)
        wrapping_key = self._root.key(PURPOSE)
        if not any(key.signs_from is not None and key.signs_until is None for key in stored):
            await signing_keys.insert(connection, wrap(Ed25519PrivateKey.generate(), wrapping_key, at, signs_from=at))
        if not any(key.signs_from is None for key in stored):
            await signing_keys.insert(connection, wrap(Ed25519PrivateKey.generate(), wrapping_key, at))
        return await signing_keys.published(connection)

    async def rotate(self, connection: Executor, at: datetime) -> KeyRotation:
        """Let the next key sign as soon as every service knows it, and publish another next key. Inside the caller's transaction.

        Raises:
            ConflictError: Another rotation is not complete yet, or too many replaced keys are still accepted.
        """
        await signing_keys.lock(connection)
        stored = await self._complete(connection)
        pending = max((key.signs_from for key in stored if key.signs_from is not None), default=at)
        if pending > at:
            seconds = int((pending - at).total_seconds()) + 1
            raise ConflictError(f"A rotation is under way; its key signs in {seconds} s. Rotate again after that.", code="rotation_pending")
        if len(stored) >= PUBLISHED_MAX:
            raise ConflictError(
                f"{len(stored)} keys are still accepted, each for {PUBLIC_KEPT.days} days after it was replaced. Rotate again when the oldest is withdrawn.",
                code="too_many_keys",
            )
        (following,) = [key for key in stored if key.signs_from is None][:1]
        signs_from = max(at + SIGNS_AFTER, following.created_at + PUBLISHED_BEFORE)
        await signing_keys.replace(connection, following.kid, signs_from)
        another = wrap(Ed25519PrivateKey.generate(), self._root.key(PURPOSE), at)
        await signing_keys.insert(connection, another)
        return KeyRotation(kid=following.kid, signs_from=signs_from, next_kid=another.kid, published=len(stored) + 1)

    async def key(self, kid: str) -> VerificationKey | None:
        if kid not in self._public and self._monotonic() - self._loaded_at > RELOAD_PAUSE_SECONDS:
            await self.load()  # another process may have created it since
        return self._public.get(kid)

    def jwks(self) -> list[Jwk]:
        """The public keys in the published form."""
        return [jwk_of(kid, key.public_key, key.signs_until_s) for kid, key in self._public.items()]

    def sign(self, claims: dict[str, Any]) -> str:
        """Sign a token with these claims.

        Raises:
            UnavailableError: The keys are not loaded yet, or not for a while, because the database is unavailable.
        """
        signer = signer_at(self._signers, self._now_s())
        if signer is None or self._monotonic() - self._loaded_at > STALE_SECONDS:
            raise UnavailableError("The signing key is not loaded yet. Try again in a few seconds.")
        return sign(signer.key, signer.kid, claims)


def _has_both(stored: Sequence[WrappedKey]) -> bool:
    """Whether there are a key that signs and a next one."""
    return any(key.signs_from is None for key in stored) and any(key.signs_from is not None and key.signs_until is None for key in stored)


def _verification_key(key: WrappedKey) -> VerificationKey:
    until_s = None if key.signs_until is None else int(key.signs_until.timestamp())
    return VerificationKey(Ed25519PublicKey.from_public_bytes(key.public_key), until_s)


async def retire_keys(pool: asyncpg.Pool, at: datetime) -> None:
    """Delete the private parts of replaced keys, and withdraw the public ones when nothing that they signed can arrive any more."""
    await signing_keys.retire(pool, private_before=at - PRIVATE_KEPT, public_before=at - PUBLIC_KEPT, at=at)
