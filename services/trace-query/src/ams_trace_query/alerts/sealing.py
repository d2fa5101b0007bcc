"""The secrets of a rule's webhook at rest: its URL and its signing secret, encrypted under ``AMS_SECRET_KEY``."""

import base64
import hashlib
import secrets

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from ams_kit.sealing import seal, unseal

SECRET_PREFIX = "whsec_"  # noqa: S105  how Standard Webhooks writes secrets
SECRET_BYTES = 32
_KEY_ID_BYTES = 4


class WebhookSecrets(Struct, frozen=True, kw_only=True):
    """Where alerts of a rule are sent, and what signs them."""

    url: str
    signing_secret: str


class Sealer:
    """Encrypts with the key of ``AMS_SECRET_KEY``, and decrypts also what the previous value encrypted.

    Args:
        secret_key: ``AMS_SECRET_KEY``; empty: webhooks cannot be stored.
        previous: ``AMS_SECRET_KEY_PREVIOUS``; empty: none.
    """

    def __init__(self, secret_key: str, previous: str = "") -> None:
        self._keys = [_key(text) for text in (secret_key, previous) if text]

    @property
    def can_seal(self) -> bool:
        """Whether there is a key."""
        return bool(self._keys)

    def seal(self, webhook: WebhookSecrets, project_id: str, rule_id: str) -> bytes:
        """Encrypt for one rule."""
        key = self._keys[0]
        return _key_id(key) + seal(key, msgspec.json.encode(webhook), f"{project_id}:{rule_id}")

    def unseal(self, sealed: bytes, project_id: str, rule_id: str) -> WebhookSecrets | None:
        """Decrypt; null when neither the current nor the previous key encrypted it."""
        for key in self._keys:
            if sealed[:_KEY_ID_BYTES] == _key_id(key):
                try:
                    plain = unseal(key, sealed[_KEY_ID_BYTES:], f"{project_id}:{rule_id}")
                except InvalidTag:
                    return None
                return msgspec.json.decode(plain, type=WebhookSecrets)
        return None

    def is_current(self, sealed: bytes) -> bool:
        """Whether the current key encrypted it."""
        return bool(self._keys) and sealed[:_KEY_ID_BYTES] == _key_id(self._keys[0])


def new_signing_secret() -> str:
    """A secret in the form that libraries for Standard Webhooks take."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _key(secret_key: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"ams trace-query webhooks").derive(secret_key.encode())


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"key id" + key).digest()[:_KEY_ID_BYTES]
