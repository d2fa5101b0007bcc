"""Public links: a member creates a link to one task, and everyone who has it reads that task without an account, until it expires or is revoked.

The secret is in the fragment of the link, which browsers send to no server; the page exchanges it for a token of ten minutes (ADR 0058).
"""

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from ams_contracts.claims import SHARE_AUDIENCE, Access, Role, ShareGrant
from ams_contracts.ids import TaskId
from ams_identity.accounts import user_of
from ams_identity.addresses import address_bucket, client_address
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, context_of
from ams_identity.ids import random_text, uuid7
from ams_identity.link_secrets import hash_of, new_secret
from ams_identity.outbox import microseconds
from ams_identity.projects import lock_project
from ams_identity.revocation import of_session
from ams_identity.sessions import NO_STORE, address_limit
from ams_identity.store import revocations, share_links
from ams_identity.store.share_links import StoredLink
from ams_identity.token_exchange import JTI_CHARS
from ams_identity.tokens import ACCESS_SECONDS
from ams_kit.auth import is_uuid, require_role
from ams_kit.errors import ConflictError, NotFoundError
from ams_kit.http.json_body import read_json, with_json_body

LINKS_MAX = 200  # of one project
DAYS_MAX = 90
DAYS_DEFAULT = 7
OPENED_PER_MINUTE = 120  # exchanges of one client address


class ShareLinkBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The task, whether visitors see what its steps contain, and in how many days the link expires."""

    task_id: TaskId
    payloads: bool = False
    expires_in_days: Annotated[int, Meta(ge=1, le=DAYS_MAX)] = DAYS_DEFAULT


class SecretBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The secret from the fragment of a link."""

    secret: str


class ShareLinkView(Struct, frozen=True, kw_only=True):
    """A public link that works. ``payloads``: visitors see what the steps contain; ``last_used_at``: null until somebody opens it."""

    link_id: str
    task_id: str
    payloads: bool
    created_by: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class CreatedShareLink(ShareLinkView, frozen=True, kw_only=True):
    """A new public link. Only this response contains ``link``; the secret is in its fragment, which is not sent to any server."""

    link: str


class ShareLinkList(Struct, frozen=True):
    """The public links of a project that work, newest first."""

    items: list[ShareLinkView]
    next_cursor: str | None = None


_body = msgspec.json.Decoder(ShareLinkBody)
_secret = msgspec.json.Decoder(SecretBody)


def _view(item: StoredLink) -> ShareLinkView:
    return ShareLinkView(**{name: getattr(item, name) for name in ShareLinkView.__struct_fields__})


@post("/api/projects/{project:str}/share-links", operation_class=with_json_body(ShareLinkBody))
async def create_share_link(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Response[CreatedShareLink]:
    """Create a public link to a task: everyone who has it reads that task without an account. Requires the role member.

    Without ``payloads``, visitors see names, times, models, tokens, cost and status of the steps, and nothing of what they contain.
    """
    require_role(access, Role.MEMBER)
    context = context_of(request)
    body = await read_json(request, _body, bytes_max=BODY_BYTES_MAX)
    user = await user_of(request)
    at, secret = context.now(), new_secret()
    item = StoredLink(
        project_id=access.project_id,
        link_id=uuid7(context.now_s()),
        task_id=body.task_id,
        payloads=body.payloads,
        created_by=user.username,
        created_at=at,
        expires_at=at + timedelta(days=body.expires_in_days),
        last_used_at=None,
    )
    async with context.pool.acquire() as connection, connection.transaction():
        await lock_project(connection, access.project_id)
        if len(await share_links.open_of_project(connection, access.project_id, at, LINKS_MAX)) >= LINKS_MAX:
            raise ConflictError(f"A project has at most {LINKS_MAX} public links. Revoke one first.", code="too_many_share_links")
        await share_links.insert(connection, item, hash_of(secret), user.user_id)
        await record(connection, request, Action.SHARED, at, user_id=user.user_id, project_id=access.project_id, subject=item.link_id)
    link = f"{context.policy.issuer}/shared#{secret}"
    return Response(CreatedShareLink(**msgspec.structs.asdict(_view(item)), link=link), headers=NO_STORE)


@get("/api/projects/{project:str}/share-links")
async def list_share_links(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> ShareLinkList:
    """List the public links of a project that work. Requires the role member."""
    require_role(access, Role.MEMBER)
    context = context_of(request)
    found = await share_links.open_of_project(context.pool, access.project_id, context.now(), LINKS_MAX)
    return ShareLinkList([_view(item) for item in found])


@delete("/api/projects/{project:str}/share-links/{link:str}")
async def revoke_share_link(request: Request[Any, Any, Any], link: FromPath[str], access: NamedDependency[Access]) -> None:
    """Revoke a public link. Its visitors lose access at once. Requires the role member."""
    require_role(access, Role.MEMBER)
    context = context_of(request)
    at = context.now()
    # the tokens of a link name it as their session
    revocation = of_session(access.user_id, link, at) if is_uuid(link) else None
    async with context.pool.acquire() as connection, connection.transaction():
        if revocation is None or not await share_links.revoke(connection, access.project_id, link, at):
            raise NotFoundError("There is no such public link.", code="share_link_not_found")
        await revocations.insert(connection, revocation)
        await record(connection, request, Action.SHARE_REVOKED, at, user_id=access.user_id, project_id=access.project_id, subject=link)
    await context.revoker.push([revocation])


@post("/api/auth/share", status_code=200, opt={"public": True}, security=[{}], operation_class=with_json_body(SecretBody))
async def open_share_link(request: Request[Any, Any, Any]) -> Response[ShareGrant]:
    """Exchange the secret of a public link for a token that reads its task, for ten minutes. Wrong secrets count as failures of the address."""
    context = context_of(request)
    body = await read_json(request, _secret, bytes_max=BODY_BYTES_MAX)
    await context.throttle.count([(f"share:{address_bucket(client_address(request))}", OPENED_PER_MINUTE)])
    attempt = await context.failures.reserve([address_limit(context, request)], context.now_s())
    at = context.now()
    item = await share_links.open_by_secret(context.pool, hash_of(body.secret), at)
    if item is None:
        raise NotFoundError("This link was revoked or has expired. Ask for another one.", code="share_link_not_found")
    await context.failures.release(attempt)
    await share_links.touch(context.pool, item.link_id, at)
    now = int(context.now_s())
    seconds = max(1, min(ACCESS_SECONDS, int((item.expires_at - at).total_seconds())))
    token = context.signing.sign(
        {
            "iss": context.policy.issuer,
            "aud": SHARE_AUDIENCE,
            "sub": item.link_id,
            "sid": item.link_id,
            "jti": random_text(JTI_CHARS),
            "iat": now,
            "exp": now + seconds,
            "project_id": item.project_id,
            "task_id": item.task_id,
            "payloads": item.payloads,
        }
    )
    grant = ShareGrant(
        access_token=token,
        expires_in=seconds,
        project_id=item.project_id,
        task_id=item.task_id,
        payloads=item.payloads,
        link_expires_at_us=microseconds(item.expires_at),
    )
    return Response(grant, headers=NO_STORE)


ROUTES = [create_share_link, list_share_links, revoke_share_link]
PUBLIC_ROUTES = [open_share_link]
