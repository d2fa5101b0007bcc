"""Service accounts: members of one project that are programs, for CI and coding agents. Their keys do not end when the person leaves who created them."""

from typing import Any, Literal

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from msgspec import Struct

from ams_contracts.claims import Access, Role
from ams_identity.accounts import new_user
from ams_identity.audit import Action
from ams_identity.context import BODY_BYTES_MAX, context_of
from ams_identity.members import MEMBERS_MAX, announce_change, record_change
from ams_identity.projects import lock_project
from ams_identity.store import members, users
from ams_identity.store.members import Member
from ams_kit.auth import require_role
from ams_kit.errors import ConflictError
from ams_kit.http.json_body import read_json, with_json_body
from ams_kit.names import check_name

SERVICE_ACCOUNTS_MAX = 50  # of one project
SERVICE_DOMAIN = "service.invalid"


class ServiceAccountBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new service account. Its role limits who may see it in lists of members; its keys have their own scopes."""

    name: str
    role: Literal["viewer", "member"] = "member"


_body = msgspec.json.Decoder(ServiceAccountBody)


@post("/api/projects/{project:str}/service-accounts", operation_class=with_json_body(ServiceAccountBody))
async def create_service_account(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Member:
    """Create a service account: a member that is a program. It has no password; create keys for it. Requires the role owner."""
    require_role(access, Role.OWNER)
    context = context_of(request)
    body = await read_json(request, _body, bytes_max=BODY_BYTES_MAX)
    name, role = check_name(body.name, "service account"), Role(body.role)
    account = new_user(context, "", "", "", "service")
    unique = f"service:{account.user_id}"  # no person can have or type this
    address = f"{account.user_id}@{SERVICE_DOMAIN}"
    account = msgspec.structs.replace(account, username=unique, username_key=unique, service_name=name, email=address, email_key=address)
    at = account.created_at
    async with context.pool.acquire() as connection, connection.transaction():
        await lock_project(connection, access.project_id)
        if len(await members.service_accounts(connection, access.project_id)) >= SERVICE_ACCOUNTS_MAX:
            raise ConflictError(
                f"A project has at most {SERVICE_ACCOUNTS_MAX} service accounts. Remove one first.", code="too_many_service_accounts"
            )
        if await members.count(connection, access.project_id) >= MEMBERS_MAX:
            raise ConflictError(f"A project has at most {MEMBERS_MAX} members. Remove one first.", code="too_many_members")
        await users.insert(connection, account)
        await members.insert(connection, access.project_id, account.user_id, role, at)
        await record_change(connection, request, access, user_id=account.user_id, role=role, action=Action.SERVICE_ACCOUNT_CREATED)
    await announce_change(context, access.project_id, account.user_id)
    return Member(user_id=account.user_id, username=name, role=role, created_at=at, kind="service")


ROUTES = [create_service_account]
