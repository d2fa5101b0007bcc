"""API keys end with their people: when a member leaves a project, and when an account is disabled."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from litestar import Request

from ams_contracts.claims import IdentityChanged
from ams_contracts.identity_events import KeyRevoked
from ams_identity.audit import Action, record
from ams_identity.context import IdentityContext
from ams_identity.outbox import microseconds, new_event_id, put
from ams_identity.store import Executor
from ams_identity.store.api_keys import RevokedKey


async def record_ended_keys(
    connection: Executor, request: Request[Any, Any, Any], keys: Sequence[RevokedKey], at: datetime, *, user_id: str | None
) -> None:
    """Write the events and audit entries of revoked keys, inside the transaction that revoked them.

    Args:
        connection: The connection of that transaction.
        request: The request that caused it.
        keys: The keys.
        at: The current time.
        user_id: Who caused it; ``None``: an operator.
    """
    for key in keys:
        event = KeyRevoked(event_id=new_event_id(), at_us=microseconds(at), project_id=key.project_id, key_id=key.key_id, user_id=user_id)
        await put(connection, key.key_id, event, at)
        await record(connection, request, Action.KEY_REVOKED, at, user_id=user_id, project_id=key.project_id, subject=key.key_id)


async def announce_ended_keys(context: IdentityContext, keys: Sequence[RevokedKey]) -> None:
    """Notify the services on the channel, after the commit. While Redis is unavailable the log notifies them."""
    for key in keys:
        if not await context.revoker.announce(IdentityChanged(kind="key.revoked", key_id=key.key_id, project_id=key.project_id)):
            return  # the others would cost one timeout each
