"""The ways into an account: a password or a passkey where people sign in without a provider, and the providers of the installation."""

from ams_identity.context import IdentityContext
from ams_identity.store import Executor, identities, passkeys, users
from ams_kit.errors import ConflictError


async def require_way_in(context: IdentityContext, connection: Executor, user_id: str) -> None:
    """Refuse a removal after which nobody could sign in to the account, in its transaction, after ``users.lock``.

    Raises:
        ConflictError: last_way_in, with the ways that can be added first.
    """
    user = await users.by_id(connection, user_id)
    by_hand = context.policy.password_login
    if user is not None and by_hand and user.password_hash is not None:
        return
    if by_hand and context.policy.relying_party is not None and await passkeys.of_user(connection, user_id, 1):
        return
    issuers = {provider.settings.issuer for provider in context.providers.values()}
    linked = await identities.of_user(connection, user_id)
    if any(item.issuer in issuers for item in linked):
        return
    ways = ["add a passkey"] if by_hand and context.policy.relying_party is not None else []
    if issuers - {item.issuer for item in linked}:
        ways.append("link another provider")
    if by_hand:
        ways.append("ask the administrator for a link that sets a password")
    if not ways:
        ways.append("ask the administrator of this installation for another way to sign in")
    raise ConflictError(f"This is the only way into your account. First {' or '.join(ways)}, then remove this one.", code="last_way_in")
