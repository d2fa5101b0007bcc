"""Who may do what in a project: asked at identity, remembered for five seconds, forgotten at once when identity says so."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

import httpx
import msgspec
from litestar import Request
from litestar.params import FromPath

from ams_contracts.claims import KEY_SUBJECT_PREFIX, ROLE_RANK, Access, IdentityChanged, Role
from ams_kit.auth.principal import KeyPrincipal, any_principal_of
from ams_kit.auth.service_tokens import service_token
from ams_kit.auth.tokens import is_uuid
from ams_kit.errors import ForbiddenError, NotFoundError, UnavailableError

IDENTITY = "identity"
ACCESS_PATH = "/internal/access"
ACCESS_SECONDS = 5
ENTRIES_MAX = 10_000

_access = msgspec.json.Decoder(Access)


class AccessSource(Protocol):
    """Knows the role of a user, or of an API key with the scope ``read`` (``key:<key_id>``), in a project."""

    async def access(self, user_id: str, project_id: str) -> Access | None:
        """The role there; ``None`` when there is none or the project does not exist.

        Raises:
            UnavailableError: Nobody can say right now.
        """
        ...


class AccessClient:
    """Asks identity. An answer is remembered for 5 s, the absence of one not at all."""

    def __init__(
        self, http: httpx.AsyncClient, service_secret: str, issuer: str, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._secret = service_secret
        self._issuer = issuer
        self._monotonic = monotonic
        self._known: dict[tuple[str, str], tuple[float, Access]] = {}
        self._changes = 0

    async def access(self, user_id: str, project_id: str) -> Access | None:
        known = self._known.get((user_id, project_id))
        now = self._monotonic()
        if known is not None and now - known[0] < ACCESS_SECONDS:
            return known[1]
        changes = self._changes
        access = await self._ask(user_id, project_id)
        self._known.pop((user_id, project_id), None)
        if access is not None and changes == self._changes:  # else the answer may be older than the change that was heard meanwhile
            if len(self._known) >= ENTRIES_MAX:
                self._known.pop(next(iter(self._known)))
            self._known[user_id, project_id] = (now, access)
        return access

    def on_event(self, changed: IdentityChanged) -> None:
        """Take a message of identity's channel: forget what may no longer be true."""
        if changed.kind not in {"access.changed", "project.deleted", "key.revoked"}:
            return
        subject = f"{KEY_SUBJECT_PREFIX}{changed.key_id}" if changed.kind == "key.revoked" else changed.user_id
        self._changes += 1
        for user_id, project_id in list(self._known):
            if subject in {None, user_id} and changed.project_id in {None, project_id}:
                del self._known[user_id, project_id]

    def expire_all(self) -> None:
        """Forget everything: messages may have been missed."""
        self._changes += 1
        self._known.clear()

    async def _ask(self, user_id: str, project_id: str) -> Access | None:
        question = {"user_id": user_id, "project_id": project_id}
        headers = {"Authorization": f"Bearer {service_token(self._secret, IDENTITY, self._issuer)}"}
        try:
            try:
                response = await self._http.get(ACCESS_PATH, params=question, headers=headers)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # the connection lay in the pool and ended as it was taken: identity was started again, or tidies up. Asking twice changes nothing
                response = await self._http.get(ACCESS_PATH, params=question, headers=headers)
            if response.status_code == HTTPStatus.NOT_FOUND:
                return None
            response.raise_for_status()
            return _access.decode(response.content)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            raise UnavailableError("Identity does not answer; nobody can say who may see this.") from error


async def access_of(request: Request[Any, Any, Any], project_id: str) -> Access | None:
    """The role of the caller, a person or an API key, in a project; ``None`` when they have none."""
    principal = any_principal_of(request)
    if isinstance(principal, KeyPrincipal):
        own = principal.project_id == project_id
        return Access(user_id=principal.subject, project_id=project_id, role=Role.VIEWER) if own else None
    return await request.app.state.auth.access(principal.user_id, project_id) if is_uuid(project_id) else None


async def provide_access(request: Request[Any, Any, Any], project: FromPath[str]) -> Access:
    """Litestar dependency ``access`` for routes under ``/{project:str}``: the role of the caller in that project.

    An API key with the scope of the service is a viewer of its own project.

    Raises:
        NotFoundError: The caller has no role there, or there is no such project, or it is not a project id at all: the same answer.
    """
    access = await access_of(request, project)
    if access is None:
        raise NotFoundError("There is no such project.", code="project_not_found")
    return access


def require_role(access: Access, role: Role) -> None:
    """Let pass who is at least that in the project.

    Raises:
        ForbiddenError: They are less.
    """
    if ROLE_RANK[access.role] < ROLE_RANK[role]:
        raise ForbiddenError(f"This needs the role {role.value}; you are {access.role.value} here.", code="role_too_low")
