"""The root secret, from which every key of identity is derived. ``AMS_SECRET_KEY`` encrypts it, so that changing that setting ends no session.

A database that is older than the root secret continues with the value of ``AMS_SECRET_KEY`` itself as its root: everything derived from it stays valid.
"""

import secrets
from datetime import UTC, datetime

import asyncpg
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ams_identity.store import Executor, signing_keys
from ams_identity.store import root_secret as rows
from ams_identity.store.root_secret import WrappedSecret
from ams_identity.tokens import derive_key
from ams_kit.errors import UnavailableError

NONCE_BYTES = 12
ROOT_BYTES = 32
_CONTEXT = b"ams identity root secret"

logger = structlog.get_logger(__name__)


class WrongSecretError(RuntimeError):
    """The keys in the database were encrypted with another ``AMS_SECRET_KEY``."""

    def __init__(self) -> None:
        super().__init__(
            "AMS_SECRET_KEY differs from the one that encrypted the keys in this database. Set the original value, or add it as AMS_SECRET_KEY_PREVIOUS."
        )


def wrap(root: str, secret_key: str) -> WrappedSecret:
    """Encrypt the root secret with a value of ``AMS_SECRET_KEY``."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return WrappedSecret(nonce, AESGCM(derive_key(secret_key, "root secret")).encrypt(nonce, root.encode(), _CONTEXT))


def unwrap(stored: WrappedSecret, secret_key: str) -> str | None:
    """Decrypt the root secret; ``None`` when another key encrypted it."""
    try:
        return AESGCM(derive_key(secret_key, "root secret")).decrypt(stored.nonce, stored.wrapped, _CONTEXT).decode()
    except InvalidTag:
        return None


class RootSecret:
    """Reads the root secret once, and derives keys from it.

    Args:
        pool: Identity's database.
        secret_key: ``AMS_SECRET_KEY``.
        previous: ``AMS_SECRET_KEY_PREVIOUS``, the value before the last change; empty: none.
    """

    def __init__(self, pool: asyncpg.Pool, secret_key: str, previous: str = "") -> None:
        self._pool = pool
        self._secret_key = secret_key
        self._candidates = [secret_key, *([previous] if previous else [])]
        self._root: str | None = None

    async def load(self) -> None:
        """Read the root secret, create it at the first start, or encrypt it with the new ``AMS_SECRET_KEY``.

        Raises:
            WrongSecretError: Neither the current nor the previous value decrypts it.
        """
        if self._root is not None:
            return
        async with self._pool.acquire() as connection, connection.transaction():
            await rows.lock(connection)
            stored = await rows.read(connection)
            if stored is None:
                root = await self._first_root(connection)
            else:
                root = unwrap(stored, self._secret_key)
            is_current = stored is not None and root is not None
            if root is None and stored is not None:
                root = next((found for key in self._candidates if (found := unwrap(stored, key)) is not None), None)
            if root is None:
                raise WrongSecretError
            if not is_current:
                await rows.write(connection, wrap(root, self._secret_key), datetime.now(UTC))
                logger.info("root secret encrypted with the current AMS_SECRET_KEY", is_first=stored is None)
        self._root = root

    async def _first_root(self, connection: Executor) -> str | None:
        """A random root for a new database; for an older one the value that its signing key was encrypted with."""
        newest = await signing_keys.newest(connection)
        if newest is None:
            return secrets.token_urlsafe(ROOT_BYTES)
        for candidate in self._candidates:
            if signing_keys.decrypts(newest, derive_key(candidate, "signing key")):
                return candidate
        return None

    def key(self, purpose: str) -> bytes:
        """The 32-byte key of one purpose.

        Raises:
            UnavailableError: The root secret is not loaded yet, because the database is unavailable.
        """
        if self._root is None:
            raise UnavailableError("The keys are not loaded yet. Try again in a few seconds.")
        return derive_key(self._root, purpose)
