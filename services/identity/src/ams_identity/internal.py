"""Routes for the other services and for ``ams up``. The gateway does not expose them, and they require a service token."""

from typing import Any

import msgspec
from litestar import Request, Router, get, post
from litestar.params import FromPath
from msgspec import Struct

from ams_contracts.claims import Access, AuditEntry, ProjectSettingsPage
from ams_identity import validation
from ams_identity.accounts import disable, ensure_machine
from ams_identity.audit import Action, record
from ams_identity.audit_chain import ChainReport
from ams_identity.codes import create_code
from ams_identity.context import BODY_BYTES_MAX, context_of
from ams_identity.faults import refuse_faults
from ams_identity.keys import CreatedKey, KeyBody, add_key
from ams_identity.paging import cursor_after, page_of
from ams_identity.projects import UUID_PATTERN
from ams_identity.quota_rules import effective_quota
from ams_identity.signing import KeyRotation
from ams_identity.store import projects, quotas
from ams_identity.token_exchange import key_state
from ams_kit.auth import internal_only, is_uuid
from ams_kit.errors import NotFoundError
from ams_kit.http.json_body import read_json

AUDIENCE = "identity"


class AccountBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A machine account."""

    username: str


class Account(Struct, frozen=True):
    """A machine account and the project that it created."""

    user_id: str
    project_id: str


class CodeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The user that the code signs in."""

    user_id: str


class Code(Struct, frozen=True):
    """A sign-in code, valid once, for ten minutes."""

    code: str


_account = msgspec.json.Decoder(AccountBody)
_code = msgspec.json.Decoder(CodeBody)
_key = msgspec.json.Decoder(KeyBody)
_entry = msgspec.json.Decoder(AuditEntry)


@get("/access")
async def access(request: Request[Any, Any, Any]) -> Access:
    """The access of a user or API key to a project (``?user_id=&project_id=``)."""
    query = request.query_params
    found = await request.app.state.auth.access(query.get("user_id", ""), query.get("project_id", ""))
    if found is None:
        raise NotFoundError("The user has no access to this project.", code="no_access")
    context = context_of(request)
    quota = effective_quota(context.policy.quota, await quotas.of_project(context.pool, found.project_id))
    return msgspec.structs.replace(found, quota=quota)


@post("/accounts", status_code=200)
async def ensure_account(request: Request[Any, Any, Any]) -> Account:
    """Create a machine account unless it exists. It has no password and signs in with a code."""
    body = await read_json(request, _account, bytes_max=BODY_BYTES_MAX)
    refuse_faults([fault for fault in validation.username_faults(body.username) if fault.code != "reserved_username"])
    user_id, project_id = await ensure_machine(context_of(request), request, body.username)
    return Account(user_id, project_id)


@post("/accounts/{user:str}/disable", status_code=204)
async def disable_account(request: Request[Any, Any, Any], user: FromPath[str]) -> None:
    """Disable an account. Idempotent."""
    if is_uuid(user):
        await disable(context_of(request), request, user)


@post("/signin-codes")
async def signin_code(request: Request[Any, Any, Any]) -> Code:
    """Create a code for a sign-in link."""
    body = await read_json(request, _code, bytes_max=BODY_BYTES_MAX)
    if not is_uuid(body.user_id):
        raise NotFoundError("There is no such account.")
    return Code(await create_code(context_of(request), request, body.user_id))


@post("/projects/{project:str}/keys")
async def project_key(request: Request[Any, Any, Any], project: FromPath[str]) -> CreatedKey:
    """Create an API key of a project."""
    body = await read_json(request, _key, bytes_max=BODY_BYTES_MAX)
    context = context_of(request)
    if not is_uuid(project):
        raise NotFoundError("There is no such project.", code="project_not_found")
    return await add_key(context, request, project, None, body)


@get("/projects")
async def list_project_settings(request: Request[Any, Any, Any]) -> ProjectSettingsPage:
    """List the settings of all projects, deleted ones included (``limit``, ``cursor``)."""
    page = page_of(request, UUID_PATTERN)
    found = await projects.settings(context_of(request).pool, after=page.after, limit=page.limit + 1)
    return ProjectSettingsPage(items=found[: page.limit], next_cursor=cursor_after([item.project_id for item in found], page.limit))


@post("/audit", status_code=204)
async def add_audit_entry(request: Request[Any, Any, Any]) -> None:
    """Add an entry for an action of another service."""
    entry = await read_json(request, _entry, bytes_max=BODY_BYTES_MAX)
    context = context_of(request)
    async with context.pool.acquire() as connection, connection.transaction():
        await record(
            connection,
            request,
            Action(entry.action),
            context.now(),
            user_id=entry.user_id,
            project_id=entry.project_id,
            subject=entry.subject,
            address=entry.address,
        )


@post("/audit/verify", status_code=200)
async def verify_audit(request: Request[Any, Any, Any]) -> ChainReport:
    """Verify the hash chains of the audit log."""
    return await context_of(request).audit_chain.verify()


@post("/signing-keys/rotate", status_code=200)
async def rotate_signing_keys(request: Request[Any, Any, Any]) -> KeyRotation:
    """Let the next signing key sign, and publish another one."""
    context = context_of(request)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        rotation = await context.signing.rotate(connection, at)
        await record(connection, request, Action.SIGNING_KEY_ROTATED, at, subject=rotation.kid)
    await context.signing.load()
    return rotation


def internal_routes() -> Router:
    """All internal routes, which the guard restricts to services."""
    return Router(
        "/internal",
        route_handlers=[
            access,
            ensure_account,
            disable_account,
            signin_code,
            project_key,
            list_project_settings,
            add_audit_entry,
            verify_audit,
            key_state,
            rotate_signing_keys,
        ],
        guards=[internal_only(AUDIENCE)],
        opt={"public": True},
        include_in_schema=False,
    )
