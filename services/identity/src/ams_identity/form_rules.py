"""The rules of the forms, for the pages that show them: what a username and a password must be."""

from typing import Any

from litestar import Request, get
from msgspec import Struct

from ams_identity.context import context_of
from ams_identity.password_rules import PASSWORD_CHARS_MAX
from ams_identity.registration import administrator_is_missing
from ams_identity.registration_mode import Registration
from ams_identity.validation import USERNAME_RULE


class ProviderName(Struct, frozen=True):
    """An OpenID provider: its id, and its name for people."""

    id: str
    name: str


class FormRules(Struct, frozen=True, kw_only=True):
    """What this installation requires of new accounts.

    Attributes:
        username_rule: A sentence for people.
        passkeys: Whether passkeys are possible: the installation has an https address with a host name, or localhost.
        email: Whether the installation sends email: links that verify an address, and that replace a forgotten password.
        registration: Who may make an account: everybody, people with an invitation, or nobody.
        password_login: Whether people sign in with passwords and passkeys; else by providers only.
        providers: With which people sign in.
        administrator_missing: Whether the administrator's account was not made yet. It can be made in every mode.
    """

    username_rule: str
    password_chars_min: int
    password_chars_max: int
    passkeys: bool
    email: bool
    registration: Registration
    password_login: bool
    providers: list[ProviderName]
    administrator_missing: bool


@get("/api/auth/rules", opt={"public": True}, security=[{}])
async def form_rules(request: Request[Any, Any, Any]) -> FormRules:
    """The rules for usernames and passwords."""
    context = context_of(request)
    return FormRules(
        username_rule=USERNAME_RULE,
        password_chars_min=context.policy.password_chars_min,
        password_chars_max=PASSWORD_CHARS_MAX,
        passkeys=context.policy.relying_party is not None,
        email=context.mailer.enabled,
        registration=context.policy.registration,
        password_login=context.policy.password_login,
        providers=[ProviderName(item.settings.id, item.settings.name) for item in context.providers.values()],
        administrator_missing=await administrator_is_missing(context, context.pool),
    )


ROUTES = [form_rules]
