"""What is written down about who did what. Never passwords, tokens, keys or codes; a failed sign-in only for accounts that exist."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from litestar import Request

from ams_identity.store import Executor, audit
from ams_identity.throttle import client_address


class Action(StrEnum):
    """Everything that is written down."""

    REGISTERED = "user.registered"
    DISABLED = "user.disabled"
    SIGNED_IN = "session.started"
    SIGN_IN_FAILED = "session.refused"
    SIGNED_OUT = "session.ended"
    TOKEN_REUSED = "session.token_reused"  # noqa: S105  a name
    PASSWORD_CHANGED = "user.password_changed"  # noqa: S105  a name
    PROJECT_CREATED = "project.created"
    PROJECT_UPDATED = "project.updated"
    PROJECT_DELETED = "project.deleted"
    MEMBER_ADDED = "member.added"
    MEMBER_CHANGED = "member.changed"
    MEMBER_REMOVED = "member.removed"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    CODE_CREATED = "signin_code.created"


async def record(
    database: Executor,
    request: Request[Any, Any, Any],
    action: Action,
    at: datetime,
    *,
    user_id: str | None = None,
    project_id: str | None = None,
    subject: str | None = None,
) -> None:
    """Write one line, in the transaction of what it tells of.

    Args:
        database: That transaction's connection.
        request: Whose address is written down.
        action: What was done.
        at: When.
        user_id: Who did it (or tried to).
        project_id: In which project.
        subject: Id of what it was done to.
    """
    await audit.insert(
        database, at=at, action=action.value, user_id=user_id, project_id=project_id, subject=subject, address=client_address(request)
    )
