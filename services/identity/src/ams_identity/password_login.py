"""``AMS_PASSWORD_LOGIN=off``: people sign in by OpenID providers only."""

from ams_identity.context import IdentityContext
from ams_kit.errors import ForbiddenError


def require_password_login(context: IdentityContext) -> None:
    """Refuse what belongs to signing in without a provider: passwords and passkeys as a first factor, and registration.

    Raises:
        ForbiddenError: password_login_off.
    """
    if not context.policy.password_login:
        names = " or ".join(provider.settings.name for provider in context.providers.values())
        raise ForbiddenError(f"People sign in to this installation with {names} only.", code="password_login_off")
