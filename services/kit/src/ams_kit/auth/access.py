"""The role of a caller in a project: requested from identity, cached for five seconds, evicted when identity publishes a change."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

import httpx
import msgspec
from litestar import Request
from litestar.params import FromPath

from ams_contracts.claims import KEY_SUBJECT_PREFIX, ROLE_RANK, SHARE_SUBJECT_PREFIX, Access, IdentityChanged, Role
from ams_kit.auth.principal import KeyPrincipal, SharePrincipal, any_principal_of
from ams_kit.auth.service_tokens import service_token
from ams_kit.auth.tokens import is_uuid
from ams_kit.errors import ForbiddenError, NotFoundError, UnavailableError

IDENTITY = "identity"
ACCESS_PATH = "/internal/access"
ACCESS_SECONDS = 5
ENTRIES_MAX = 10_000

SECOND_FACTOR_REQUIRED = "second_factor_required"


class _Refusal(msgspec.Struct):
    code: str = ""


_access = msgspec.json.Decoder(Access)
_refusal = msgspec.json.Decoder(_Refusal)


def second_factor_required() -> ForbiddenError:
    """Build the error for a member without a second factor, in a project that requires one."""
    return ForbiddenError(
        "This project requires a second factor. Add an authenticator app or a passkey to your account, then try again.",
        code=SECOND_FACTOR_REQUIRED,
    )


class AccessSource(Protocol):
    """Provides the role of a user, of an API key with the scope ``read`` (``key:<key_id>``) or of a public link (``share:<link_id>``), in a project."""

    async def access(self, user_id: str, project_id: str) -> Access | None:
        """Return the role; ``None`` when there is none or the project does not exist.

        Raises:
            ForbiddenError: second_factor_required: the project requires a second factor, and the member's account has none.
            UnavailableError: The role cannot be determined now.
        """
        ...


class AccessClient:
    """Requests roles from identity. Caches a role for 5 s, and does not cache a refusal."""

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
        if access is not None and changes == self._changes:  # a change received during the request may be newer than its response
            if len(self._known) >= ENTRIES_MAX:
                self._known.pop(next(iter(self._known)))
            self._known[user_id, project_id] = (now, access)
        return access

    def on_event(self, changed: IdentityChanged) -> None:
        """Evict the roles that a message of identity's channel may have changed."""
        if changed.kind not in {"access.changed", "project.deleted", "key.revoked"}:
            return
        subject = f"{KEY_SUBJECT_PREFIX}{changed.key_id}" if changed.kind == "key.revoked" else changed.user_id
        self._changes += 1
        for user_id, project_id in list(self._known):
            # a link ends with its author's membership, and only identity knows who that is
            concerned = subject in {None, user_id} or user_id.startswith(SHARE_SUBJECT_PREFIX)
            if concerned and changed.project_id in {None, project_id}:
                del self._known[user_id, project_id]

    def expire_all(self) -> None:
        """Evict everything, because messages may have been missed."""
        self._changes += 1
        self._known.clear()

    async def _ask(self, user_id: str, project_id: str) -> Access | None:
        question = {"user_id": user_id, "project_id": project_id}
        headers = {"Authorization": f"Bearer {service_token(self._secret, IDENTITY, self._issuer)}"}
        try:
            try:
                response = await self._http.get(ACCESS_PATH, params=question, headers=headers)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # identity restarted, or closed the idle connection as the pool reused it. The request is idempotent, so it is sent again
                response = await self._http.get(ACCESS_PATH, params=question, headers=headers)
            if response.status_code == HTTPStatus.NOT_FOUND:
                return None
            if response.status_code == HTTPStatus.FORBIDDEN and _refusal.decode(response.content).code == SECOND_FACTOR_REQUIRED:
                raise second_factor_required()
            response.raise_for_status()
            return _access.decode(response.content)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            raise UnavailableError("Identity does not answer, so access cannot be checked. Try again.") from error


async def access_of(request: Request[Any, Any, Any], project_id: str) -> Access | None:
    """Return the role of the caller, a person, an API key or a visitor, in a project; ``None`` when they have none.

    Raises:
        ForbiddenError: The project requires a second factor, and the person has none.
    """
    principal = any_principal_of(request)
    if isinstance(principal, KeyPrincipal):
        own = principal.project_id == project_id
        return Access(user_id=principal.subject, project_id=project_id, role=Role.VIEWER) if own else None
    if isinstance(principal, SharePrincipal):
        return await request.app.state.auth.access(principal.subject, project_id) if principal.project_id == project_id else None
    return await request.app.state.auth.access(principal.user_id, project_id) if is_uuid(project_id) else None


async def provide_access(request: Request[Any, Any, Any], project: FromPath[str]) -> Access:
    """Provide the Litestar dependency ``access`` for routes under ``/{project:str}``: the role of the caller in that project.

    An API key with the scope of the service has the role viewer in its own project.

    Raises:
        ForbiddenError: The project requires a second factor, and the person has none.
        NotFoundError: The caller has no role there, the project does not exist, or the id is malformed. All cases give the same response.
    """
    access = await access_of(request, project)
    if access is None:
        raise NotFoundError("There is no such project.", code="project_not_found")
    return access


def require_role(access: Access, role: Role) -> None:
    """Require a role in the project.

    Args:
        access: The caller's role.
        role: The lowest sufficient role.

    Raises:
        ForbiddenError: The caller's role is lower.
    """
    if ROLE_RANK[access.role] < ROLE_RANK[role]:
        raise ForbiddenError(f"This requires the role {role.value}; your role in this project is {access.role.value}.", code="role_too_low")
