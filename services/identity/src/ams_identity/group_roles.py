"""The roles that a provider's groups give, applied at each sign-in.

A member's role is the highest of the one that people gave and those that groups give. What a group gave ends with it; what people gave stays, and so does the last owner.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from litestar import Request
from msgspec import Struct

from ams_contracts.claims import ROLE_RANK, Access, Role
from ams_identity.audit import Action, record
from ams_identity.context import IdentityContext, context_of
from ams_identity.ended_keys import announce_ended_keys, record_ended_keys
from ams_identity.members import MEMBERS_MAX, announce_change, record_change
from ams_identity.projects import PROJECTS_MAX
from ams_identity.store import Executor, api_keys, group_roles, members, projects
from ams_identity.store.api_keys import RevokedKey

logger = structlog.get_logger(__name__)


class RoleChanges(Struct, frozen=True):
    """What was changed, for ``announce`` after the commit."""

    user_id: str
    projects: list[str]
    ended_keys: list[RevokedKey]


async def apply(
    connection: Executor, request: Request[Any, Any, Any], user_id: str, issuer: str, wanted: Mapping[str, Role]
) -> RoleChanges:
    """Give an account the roles of a provider's groups, in the transaction of the sign-in.

    Args:
        connection: The connection of that transaction.
        request: The request, whose address the audit entries have.
        user_id: The account.
        issuer: The provider.
        wanted: The roles by project; those that it gave before and that are not among them end.
    """
    changes = RoleChanges(user_id, [], [])
    for project_id in sorted(await group_roles.replace(connection, user_id, issuer, wanted)):
        project = await projects.lock(connection, project_id)
        if project is None or project.deleted_at is not None:
            logger.warning("a group gives a role in a project that does not exist", issuer=issuer, project_id=project_id)
            continue
        current, by_hand = await members.roles_of(connection, project_id, user_id)
        given = await group_roles.of_project(connection, user_id, project_id)
        target = max((role for role in (by_hand, *given) if role is not None), key=ROLE_RANK.__getitem__, default=None)
        if target is not current:
            await _change(
                connection, request, changes, Access(user_id=user_id, project_id=project_id, role=current or Role.VIEWER), (current, target)
            )
    return changes


async def _change(
    connection: Executor, request: Request[Any, Any, Any], changes: RoleChanges, access: Access, roles: tuple[Role | None, Role | None]
) -> None:
    """Change a role from one to another; ``None`` for no member."""
    user_id, project_id, at = access.user_id, access.project_id, context_of(request).now()
    current, target = roles
    action = Action.MEMBER_ADDED if current is None else Action.MEMBER_REMOVED if target is None else Action.MEMBER_CHANGED
    last_owner = current is Role.OWNER and await members.owners(connection, project_id) == 1
    full = current is None and (
        await members.count(connection, project_id) >= MEMBERS_MAX or await projects.count_of_user(connection, user_id) >= PROJECTS_MAX
    )
    if last_owner or full:
        await record(connection, request, action, at, user_id=user_id, project_id=project_id, subject=user_id, outcome="refused")
        return
    if target is None:
        await members.delete(connection, project_id, user_id)
        ended = await api_keys.revoke_of_member(connection, project_id, user_id, at)
        await record_ended_keys(connection, request, ended, at, user_id=user_id)
        changes.ended_keys.extend(ended)
    else:
        await members.put_by_group(connection, project_id, user_id, target, at)
    await record_change(connection, request, access, user_id=user_id, role=target, action=action)
    changes.projects.append(project_id)


async def announce(context: IdentityContext, changes: RoleChanges) -> None:
    """Notify the services, after the commit."""
    for project_id in changes.projects:
        await announce_change(context, project_id, changes.user_id)
    await announce_ended_keys(context, changes.ended_keys)
