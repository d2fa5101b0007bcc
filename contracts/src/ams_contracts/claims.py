"""Identity between the services: token claims, roles, and the responses of identity's internal routes."""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from ams_contracts.ids import Microseconds, ProjectId, RetentionDays, TaskId

AUDIENCE = "ams"
IDENTITY_CHANNEL = "ams:identity:changed"
"""The Redis channel on which identity publishes what caches must drop (``IdentityChanged``)."""


class Role(StrEnum):
    """What a user may do in a project, from least to most."""

    VIEWER = "viewer"
    MEMBER = "member"
    OWNER = "owner"


ROLE_RANK = {Role.VIEWER: 0, Role.MEMBER: 1, Role.OWNER: 2}


class Scope(StrEnum):
    """What an API key may do: send steps, or read tasks (trace-query and the live gateway) like a viewer of its project."""

    INGEST = "ingest"
    READ = "read"


class AccessClaims(Struct, frozen=True, kw_only=True):
    """An access token: EdDSA JWT, header ``typ=at+jwt`` and ``kid``, 10 minutes. No projects inside."""

    iss: str
    aud: str
    sub: str
    sid: str
    jti: str
    iat: int
    exp: int


KEY_SUBJECT_PREFIX = "key:"
"""An API key as a subject of ``Access``: ``key:<key_id>``, where a person has a user id."""


class Quota(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much telemetry a project may send; ``None``: without a limit."""

    events_per_minute: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    bytes_per_day: Annotated[int, Meta(ge=1, le=10**15)] | None = None


class Access(Struct, frozen=True, kw_only=True):
    """The role that a user, an API key with the scope ``read`` or the visitors of a public link have in a project.

    ``quota`` and ``masking`` are those of the project, as in ``KeyGrant``, for services that take what the user sends.
    """

    user_id: str
    project_id: str
    role: Role
    quota: Quota | None = None
    masking: bool = True


SHARE_AUDIENCE = "ams-share"
"""The audience of tokens that visitors of a public link get."""

SHARE_SUBJECT_PREFIX = "share:"
"""A public link as a subject of ``Access``: ``share:<link_id>``, where a person has a user id."""


class ShareClaims(AccessClaims, frozen=True, kw_only=True):
    """The token of a visitor of a public link: EdDSA JWT, header ``typ=at+jwt`` and ``kid``, 10 minutes, for one task.

    ``sub`` and ``sid`` are the id of the link, so that a revocation of the "session" ``sid`` ends every token of the link.
    ``payloads``: whether the visitor may read what the steps contain (``ams_contracts.sharing``).
    """

    project_id: ProjectId
    task_id: TaskId
    payloads: bool


class ShareGrant(Struct, frozen=True, kw_only=True):
    """What the secret of a public link gives access to: the response of ``POST /api/auth/share``.

    ``expires_in``: seconds until the token expires; ``link_expires_at_us``: when the link does.
    """

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the name of a scheme
    expires_in: int
    project_id: ProjectId
    task_id: TaskId
    payloads: bool
    link_expires_at_us: Microseconds


class KeyGrant(Struct, frozen=True, kw_only=True):
    """What an API key gives access to: the response of ``POST /api/auth/token``.

    Attributes:
        expires_at_us: When the grant ends by identity's clock; ``None`` from an identity that does not send it yet.
        addresses: Networks from which the key may be used; ``None``: from everywhere.
        quota: Of the project.
        masking: Whether intake masks secrets of this project that the sender did not mask.
    """

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the name of a scheme
    expires_in: int
    project_id: str
    key_id: str
    scopes: list[Scope]
    expires_at_us: int | None = None
    masking: bool = True
    addresses: list[str] | None = None
    quota: Quota | None = None


INBOUND_AUDIENCE = "ams-inbound"
"""The audience of tokens with which an SDK signs records of ``ams.inbound.v1``."""


class InboundClaims(Struct, frozen=True, kw_only=True):
    """A token for ``ams.inbound.v1``: EdDSA JWT of an API key with the scope ``ingest``, valid for an hour. ``sub`` is the key's id."""

    iss: str
    aud: str
    sub: str
    project_id: ProjectId
    jti: str
    iat: int
    exp: int


class KafkaSecurity(Struct, frozen=True, kw_only=True):
    """How clients of the broker connect: Kafka's name of the protocol, and the SASL mechanism, empty without one."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
    sasl_mechanism: str = ""


class KafkaAddress(Struct, frozen=True, kw_only=True):
    """Where an SDK publishes. Credentials of the broker are not part of it; the SDK's own settings hold them."""

    bootstrap: str
    topic: str
    security: KafkaSecurity


class InboundGrant(Struct, frozen=True, kw_only=True):
    """The response of ``POST /api/auth/token`` for the audience ``ams-inbound``."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the name of a scheme
    expires_in: int
    project_id: str
    key_id: str
    kafka: KafkaAddress


class KeyState(Struct, frozen=True, kw_only=True):
    """An API key that is neither revoked nor expired, as other services see it. ``masking`` and ``quota`` are those of its project, as in ``KeyGrant``."""

    key_id: str
    project_id: str
    scopes: list[Scope]
    masking: bool = True
    quota: Quota | None = None


class ProjectSettings(Struct, frozen=True, kw_only=True):
    """A project as other services see it, deleted ones included.

    Attributes:
        retention_days: UTC days of tasks that the project keeps; ``None`` means as many as the platform.
        deleted_at_us: When it was deleted; ``None`` while it exists.
    """

    project_id: ProjectId
    retention_days: RetentionDays | None = None
    deleted_at_us: Microseconds | None = None


class ProjectSettingsPage(Struct, frozen=True, kw_only=True):
    """The response of ``GET /internal/projects?limit=&cursor=``: projects in the order of their ids, at most 500 per page."""

    items: list[ProjectSettings]
    next_cursor: str | None = None


AuditAction = Literal["alert_rule.created", "alert_rule.changed", "alert_rule.deleted"]
"""What other services add to identity's audit log."""


class AuditEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry for the audit log, the body of ``POST /internal/audit``.

    Attributes:
        user_id: Who acted.
        subject: The id of what was changed.
        address: Of the client; ``None``: unknown.
    """

    action: AuditAction
    user_id: Annotated[str, Meta(max_length=64)]
    project_id: ProjectId
    subject: Annotated[str, Meta(max_length=64)]
    address: Annotated[str, Meta(max_length=64)] | None = None


class IdentityChanged(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message on ``IDENTITY_CHANNEL``: which cached entries are no longer valid.

    ``until_s``: of a ``session.revoked`` that concerns a user: tokens issued before it are revoked; ``None`` means until now.
    """

    kind: Literal["key.revoked", "access.changed", "session.revoked", "project.deleted"]
    key_id: str | None = None
    user_id: str | None = None
    project_id: str | None = None
    session_id: str | None = None
    jti: str | None = None
    until_s: int | None = None
