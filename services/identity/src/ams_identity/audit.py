"""The audit log. It contains no passwords, tokens, keys or codes, and failed sign-ins only of accounts that exist."""

import secrets
from datetime import datetime
from enum import StrEnum
from typing import Any

from litestar import Request

from ams_identity.addresses import client_address
from ams_identity.audit_chain import address_mac
from ams_identity.context import context_of
from ams_identity.store import Executor, audit
from ams_identity.store.audit import Outcome

SALT_BYTES = 16


class Action(StrEnum):
    """The actions that the audit log records."""

    REGISTERED = "user.registered"
    DISABLED = "user.disabled"
    ENABLED = "user.enabled"
    SIGNED_IN = "session.started"
    SIGN_IN_FAILED = "session.refused"
    SIGNED_OUT = "session.ended"
    TOKEN_REUSED = "session.token_reused"  # noqa: S105  a name
    PASSWORD_CHANGED = "user.password_changed"  # noqa: S105  a name
    RESET_CREATED = "password_reset.created"
    PASSWORD_RESET = "user.password_reset"  # noqa: S105  a name
    PROJECT_CREATED = "project.created"
    PROJECT_UPDATED = "project.updated"
    FACTOR_REQUIRED = "project.second_factor_required"
    FACTOR_NOT_REQUIRED = "project.second_factor_not_required"
    PROJECT_DELETED = "project.deleted"
    MEMBER_ADDED = "member.added"
    MEMBER_CHANGED = "member.changed"
    MEMBER_REMOVED = "member.removed"
    INVITED = "invitation.created"
    INVITATION_ENDED = "invitation.withdrawn"
    EMAIL_CHANGED = "user.email_changed"
    EMAIL_VERIFIED = "user.email_verified"
    DELETED = "user.deleted"
    SHARED = "share_link.created"
    SHARE_REVOKED = "share_link.revoked"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    PROVED = "session.proved"
    APP_ADDED = "factor.app_added"
    APP_REMOVED = "factor.app_removed"
    PASSKEY_ADDED = "factor.passkey_added"
    PASSKEY_REMOVED = "factor.passkey_removed"
    RECOVERY_CODES_REPLACED = "factor.recovery_codes_replaced"
    RECOVERY_CODE_USED = "factor.recovery_code_used"
    FACTORS_REMOVED = "factor.all_removed"
    IDENTITY_LINKED = "identity.linked"
    IDENTITY_UNLINKED = "identity.unlinked"
    KEY_CHANGED = "key.changed"
    KEY_ROTATED = "key.rotated"
    SERVICE_ACCOUNT_CREATED = "service_account.created"
    QUOTA_CHANGED = "project.quota_changed"
    ADMINISTRATOR_CHANGED = "user.administrator_changed"
    CODE_CREATED = "signin_code.created"
    SIGNING_KEY_ROTATED = "signing_key.rotated"
    ALERT_RULE_CREATED = "alert_rule.created"
    ALERT_RULE_CHANGED = "alert_rule.changed"
    ALERT_RULE_DELETED = "alert_rule.deleted"


async def record(
    database: Executor,
    request: Request[Any, Any, Any],
    action: Action,
    at: datetime,
    *,
    user_id: str | None = None,
    project_id: str | None = None,
    subject: str | None = None,
    outcome: Outcome = "ok",
    address: str | None = None,
) -> None:
    """Add an entry to the audit log, in the transaction of the action.

    Args:
        database: The connection of that transaction.
        request: The request, whose client address is recorded.
        action: The action.
        at: When it happened.
        user_id: The user who acted, or tried to.
        project_id: The project in which it happened, if any.
        subject: Id of the object of the action.
        outcome: Whether it was done or refused.
        address: The client's address as another service reports it; by default that of the request.
    """
    client, salt = client_address(request), secrets.token_bytes(SALT_BYTES)
    if address is None and client is not None:
        address = str(client)
    await audit.insert(
        database,
        at=at,
        action=action.value,
        outcome=outcome,
        user_id=user_id,
        project_id=project_id,
        subject=subject,
        address_mac=None if address is None else address_mac(context_of(request).audit_key, salt, address),
        salt=salt,
        address=address,
    )
