"""Validation of usernames and email addresses, and their canonical forms. Pure functions.

Names are shown as they were typed. The canonical form is what the unique columns hold and what sign-in looks for; it is computed here and nowhere else.
"""

import re

import email_validator

from ams_identity.faults import Fault

USERNAME_CHARS_MIN = 2
USERNAME_CHARS_MAX = 64
EMAIL_CHARS_MAX = 254
USERNAME_RULE = (
    f"A username has {USERNAME_CHARS_MIN} to {USERNAME_CHARS_MAX} letters from a to z, digits, dots, hyphens and underscores, "
    "and begins and ends with a letter or digit."
)

MACHINE_USERNAMES = frozenset({"local", "demo", "system", "machine"})
"""Names of machine accounts, which commands of the platform create."""
RESERVED_USERNAMES = MACHINE_USERNAMES | {
    "abuse", "account", "accounts", "admin", "administrator", "ams", "anonymous", "api", "auth", "billing", "bot", "daemon", "everyone", "explorer", "guest",
    "help", "hostmaster", "identity", "info", "internal", "live", "mail", "me", "moderator", "nobody", "none", "noreply", "no-reply", "null", "operator", "owner",
    "postmaster", "private", "project", "projects", "public", "register", "root", "security", "service", "services", "settings", "signin", "signup", "staff",
    "status", "superuser", "support", "sysadmin", "team", "undefined", "unknown", "user", "username", "users", "webmaster", "www",
}  # fmt: skip
"""Names that a person could be mistaken for a role by, or that an address of the platform uses."""
RESERVED_EMAIL_DOMAIN = "localhost"

# excludes look-alike and invisible characters, and those with a meaning in a path, a header or HTML
_USERNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def username_key(username: str) -> str:
    """The canonical form of a username: lower case. Two usernames with the same form are the same name."""
    return username.lower()


def username_faults(username: str) -> list[Fault]:
    """What is wrong with the username of a new account: not_ascii | invalid_username | reserved_username."""
    if not username.isascii():
        return [Fault("username", "not_ascii", f"The username has characters outside ASCII. {USERNAME_RULE}")]
    if not USERNAME_CHARS_MIN <= len(username) <= USERNAME_CHARS_MAX or _USERNAME.fullmatch(username) is None:
        return [Fault("username", "invalid_username", USERNAME_RULE)]
    if username_key(username) in RESERVED_USERNAMES:
        return [Fault("username", "reserved_username", "This username is reserved. Choose another one, such as your name.")]
    return []


def email_key(email: str) -> str | None:
    """The canonical form of an email address; ``None`` when it is not valid.

    The local part is in NFC and without case, the domain in IDNA's ASCII form. Dots and tags (``a.b+c@``) are kept: they differ at most providers.
    """
    try:
        address = email_validator.validate_email(email, check_deliverability=False, allow_quoted_local=False)
    except (email_validator.EmailNotValidError, ValueError):
        return None
    return f"{address.local_part.casefold()}@{address.ascii_domain.lower()}"


def email_faults(email: str) -> list[Fault]:
    """What is wrong with the email address of a person: invalid_email | reserved_email."""
    if email.lower().rpartition("@")[2] == RESERVED_EMAIL_DOMAIN:
        message = f"Addresses at {RESERVED_EMAIL_DOMAIN} are reserved for machine accounts. Use another address."
        return [Fault("email", "reserved_email", message)]
    if len(email) > EMAIL_CHARS_MAX or email_key(email) is None:
        return [Fault("email", "invalid_email", "The email address is not valid. Write it like name@example.com.")]
    return []


def login_key(name: str) -> str | None:
    """The canonical form of what a person types to sign in: a username or an email address. ``None`` when no account can have it."""
    if len(name) > EMAIL_CHARS_MAX or "\0" in name:
        return None
    if "@" in name:
        # an account from before the current rules may have an address that they refuse
        return email_key(name) or (name.lower() if name.isascii() else None)
    return username_key(name) if name.isascii() else None
