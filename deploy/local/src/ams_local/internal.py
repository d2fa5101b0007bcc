"""What the command line asks of identity's internal routes, over loopback and with a token of the service secret."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ams_contracts.claims import Scope
from ams_kit.auth.service_tokens import service_token

TIMEOUT_SECONDS = 10
AUDIENCE = "identity"
ISSUER = "ams-local"


class InternalError(RuntimeError):
    """Identity refused or does not answer."""


class Account(Struct, frozen=True, kw_only=True):
    """A person and their first project."""

    user_id: str
    project_id: str


class IdentityClient:
    """The routes that make an account, a key and a link, and the one that verifies the audit log.

    Args:
        url: Identity's base on loopback.
        secret: ``AMS_SERVICE_SECRET``.
    """

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secret = secret

    def account(self, username: str) -> Account:
        """The local account of that name, made when there is none."""
        answer = self._post("/internal/accounts", {"username": username})
        return Account(user_id=answer["user_id"], project_id=answer["project_id"])

    def key(self, project_id: str, name: str, scopes: Sequence[str] = (Scope.INGEST.value,)) -> str:
        """A new API key of a project. It is shown nowhere else."""
        return self._post(f"/internal/projects/{project_id}/keys", {"name": name, "scopes": list(scopes)})["key"]

    def signin_code(self, user_id: str) -> str:
        """A code that signs in once."""
        return self._post("/internal/signin-codes", {"user_id": user_id})["code"]

    def verify_audit(self) -> dict[str, Any]:
        """What a verification of the audit log's hash chains found: ``projects``, ``entries``, ``faults``."""
        return self._post("/internal/audit/verify", {})

    def rotate_signing_keys(self) -> dict[str, Any]:
        """Rotate the signing keys: ``kid`` and ``signs_from`` of the key that signs next, ``published`` keys."""
        return self._post("/internal/signing-keys/rotate", {})

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310  our own loopback address
            self._url + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {service_token(self._secret, AUDIENCE, ISSUER)}"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback never goes through a proxy
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise InternalError(_reason(error, path)) from error
        except OSError as error:
            raise InternalError(f"identity does not answer ({error})") from error


def _reason(error: urllib.error.HTTPError, path: str) -> str:
    """The sentence of a problem document; without one, the status."""
    try:
        return json.loads(error.read())["detail"] or f"identity answered {error.code} to {path}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"identity answered {error.code} to {path}"
