"""Adds entries to identity's audit log."""

import httpx
import msgspec

from ams_contracts.claims import Access, AuditAction, AuditEntry
from ams_kit.auth.service_tokens import service_token
from ams_kit.errors import UnavailableError

AUDIT_PATH = "/internal/audit"
IDENTITY = "identity"


class AuditClient:
    """Sends entries to identity.

    Args:
        http: With identity's address as its base.
        service_secret: Signs the requests.
        issuer: The name of this service.
    """

    def __init__(self, http: httpx.AsyncClient, service_secret: str, issuer: str) -> None:
        self._http = http
        self._secret = service_secret
        self._issuer = issuer

    async def record(self, action: AuditAction, access: Access, subject: str, address: str | None) -> None:
        """Add an entry.

        Raises:
            UnavailableError: Identity does not answer. The entry may have been added.
        """
        entry = AuditEntry(action=action, user_id=access.user_id, project_id=access.project_id, subject=subject, address=address)
        token = service_token(self._secret, IDENTITY, self._issuer)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            response = await self._http.post(AUDIT_PATH, content=msgspec.json.encode(entry), headers=headers)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise UnavailableError("Identity does not answer, so the change cannot be recorded in the audit log. Try again.") from error
