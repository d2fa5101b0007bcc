"""The rules of the forms, for the pages that show them: what a username and a password must be."""

from typing import Any

from litestar import Request, get
from msgspec import Struct

from ams_identity.context import context_of
from ams_identity.password_rules import PASSWORD_CHARS_MAX
from ams_identity.validation import USERNAME_RULE


class FormRules(Struct, frozen=True, kw_only=True):
    """What this installation requires of new accounts. ``username_rule`` is a sentence for people."""

    username_rule: str
    password_chars_min: int
    password_chars_max: int


@get("/api/auth/rules", opt={"public": True}, security=[{}])
async def form_rules(request: Request[Any, Any, Any]) -> FormRules:
    """The rules for usernames and passwords."""
    policy = context_of(request).policy
    return FormRules(username_rule=USERNAME_RULE, password_chars_min=policy.password_chars_min, password_chars_max=PASSWORD_CHARS_MAX)


ROUTES = [form_rules]
