"""The OpenID providers of an installation, from ``AMS_OIDC_ISSUERS`` or ``AMS_OIDC_ISSUERS_FILE``. Only operators name them: nothing that a person sends is ever an address."""

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from ams_contracts.claims import Role
from ams_kit.auth import is_uuid

ISSUERS_MAX = 20
PROVIDER_ID_PATTERN = r"\A[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\Z"

ProviderRegistration = Literal["same", "open", "closed"]
"""Whether a person without an account gets one by a provider: as ``AMS_REGISTRATION`` says, always, or never."""


class OidcSettingsError(ValueError):
    """The setting is not usable. The text says why, for the operator, without a secret."""


class GroupRole(Struct, frozen=True, forbid_unknown_fields=True):
    """Members of a provider's group have at least this role in a project."""

    group: Annotated[str, Meta(min_length=1, max_length=256)]
    project: str
    role: Role


class Issuer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenID provider.

    Attributes:
        id: Part of the redirect address; it must not change while the provider is in use.
        name: For people: "Continue with NAME".
        issuer: The ``iss`` of its tokens, from which its configuration is discovered.
        client_id: Of this installation at the provider.
        client_secret: Empty: a public client, which PKCE alone protects.
        client_secret_file: A file with the secret, instead of ``client_secret``.
        scopes: What is asked for; ``openid`` is always among them.
        groups_claim: The claim with a person's groups.
        roles: Which roles the groups give.
        email_domains: Only people with a verified address in one of them sign in; empty: no such limit.
        trust_email: Take the provider's addresses as verified though it does not say so (Microsoft Entra). Requires ``email_domains``.
        second_factor_values: Values of ``amr`` or ``acr`` that count as a second factor; empty: the provider's word does not count.
        sign_out: Whether signing out here ends the session at the provider, too, where it offers that.
    """

    id: Annotated[str, Meta(pattern=PROVIDER_ID_PATTERN)]
    name: Annotated[str, Meta(min_length=1, max_length=60)]
    issuer: str
    client_id: Annotated[str, Meta(min_length=1, max_length=256)]
    client_secret: str = ""
    client_secret_file: str = ""
    scopes: list[str] = msgspec.field(default_factory=lambda: ["openid", "email", "profile"])
    groups_claim: str = "groups"
    roles: list[GroupRole] = msgspec.field(default_factory=list[GroupRole])
    email_domains: list[str] = msgspec.field(default_factory=list[str])
    trust_email: bool = False
    second_factor_values: list[str] = msgspec.field(default_factory=list[str])
    sign_out: bool = True

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Issuer(id={self.id!r}, issuer={self.issuer!r})"


_issuers = msgspec.json.Decoder(list[Issuer])


def parse_issuers(text: str, read_file: Callable[[str], str]) -> list[Issuer]:
    """Read the list of providers.

    Args:
        text: A JSON list; empty: none.
        read_file: Reads a file with a secret.

    Raises:
        OidcSettingsError: It cannot be used.
    """
    if not text.strip():
        return []
    try:
        found = _issuers.decode(text)
    except msgspec.DecodeError as error:
        raise OidcSettingsError(f"it is not a list of providers: {error}") from error
    if len(found) > ISSUERS_MAX or len({item.id for item in found}) < len(found) or len({item.issuer for item in found}) < len(found):
        raise OidcSettingsError(f"at most {ISSUERS_MAX} providers are possible, each with an id and an issuer of its own")
    return [_checked(item, read_file) for item in found]


def _checked(item: Issuer, read_file: Callable[[str], str]) -> Issuer:
    def refuse(sentence: str) -> OidcSettingsError:
        return OidcSettingsError(f"provider {item.id}: {sentence}")

    if not is_secure_address(item.issuer):
        raise refuse("the issuer is not an https address without query and fragment (http only on loopback)")
    if item.client_secret and item.client_secret_file:
        raise refuse("give client_secret or client_secret_file, not both")
    if item.trust_email and not item.email_domains:
        raise refuse("trust_email requires email_domains, so that nobody claims an address of another company")
    if not all(is_uuid(rule.project) for rule in item.roles):
        raise refuse("a role's project is not the id of a project")
    secret = item.client_secret
    if item.client_secret_file:
        try:
            secret = read_file(item.client_secret_file).strip()
        except (OSError, ValueError) as error:
            raise refuse(f"client_secret_file cannot be read: {type(error).__name__}") from error
        if not secret:
            raise refuse("client_secret_file is empty")
    scopes = list(dict.fromkeys(["openid", *item.scopes]))
    domains = [domain.strip().lower().removeprefix("@") for domain in item.email_domains]
    return msgspec.structs.replace(item, client_secret=secret, scopes=scopes, email_domains=domains)


def is_loopback(host: str) -> bool:
    """Whether a host of an address is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_secure_address(text: Any, *, query: bool = False) -> bool:
    """Whether a text is an https address, or an http one on loopback, without credentials and fragment, and without a query unless it may have one."""
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    return secure and bool(host) and parts.username is None and not parts.fragment and (query or not parts.query)


def roles_of(item: Issuer, groups: Sequence[str]) -> dict[str, Role]:
    """The highest role that a person's groups give, by project."""
    rank = list(Role)
    found: dict[str, Role] = {}
    for rule in item.roles:
        if rule.group in groups:
            found[rule.project] = max(rule.role, found.get(rule.project, rule.role), key=rank.index)
    return found
