"""Encryption of secrets at rest, under keys that are derived from ``AMS_SECRET_KEY``."""

import secrets

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12


def seal(key: bytes, plain: bytes, context: str) -> bytes:
    """Encrypt with AES-256-GCM. ``context`` (whose secret it is) is authenticated, so a row cannot be copied to another account.

    Returns:
        The nonce, then the ciphertext.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, context.encode())


def unseal(key: bytes, sealed: bytes, context: str) -> bytes:
    """Decrypt what ``seal`` returned.

    Raises:
        cryptography.exceptions.InvalidTag: Another key or context encrypted it, or it was changed.
    """
    return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context.encode())
