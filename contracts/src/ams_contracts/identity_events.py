"""Events of identity on the topic ``ams.identity.v1``: one event per record, keyed by the id of its subject. They hold no secrets and no email addresses.

The topic keeps 30 days, so a consumer that must know every project also reads ``GET /internal/projects`` (``ams_contracts.claims.ProjectSettings``).
"""

from typing import Literal

from msgspec import Struct

from ams_contracts.claims import Role, Scope
from ams_contracts.ids import EventId, Microseconds, ProjectId, RetentionDays


class IdentityEventBase(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """Fields of every event: its id, and when it was committed."""

    v: Literal[1] = 1
    event_id: EventId
    at_us: Microseconds


class UserRegistered(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="user.registered"):
    """An account was created."""

    user_id: str
    username: str


class UserDisabled(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="user.disabled"):
    """An account was disabled, and every token of it revoked."""

    user_id: str


class SessionRevoked(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="session.revoked"):
    """A session ended. ``reason``: logout, reuse (a refresh token was used twice), password (it was changed in another session)."""

    user_id: str
    session_id: str
    reason: Literal["logout", "reuse", "password"]


class ProjectCreated(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="project.created"):
    """A project was created."""

    project_id: ProjectId
    name: str
    user_id: str


class ProjectUpdated(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="project.updated"):
    """The settings of a project after a change; the newest event of a project holds all of them.

    ``retention_days``: how many UTC days of tasks the project keeps; ``None`` means as many as the platform. A platform that keeps fewer days wins.
    ``masking``: whether intake masks secrets that the sender did not mask.
    """

    project_id: ProjectId
    name: str
    retention_days: RetentionDays | None = None
    masking: bool = True
    user_id: str | None = None


class ProjectDeleted(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="project.deleted"):
    """A project was deleted by an owner. Its id is never used again; whatever is stored or arrives under it is to be removed."""

    project_id: ProjectId
    user_id: str | None = None


class AccessChanged(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="access.changed"):
    """The role of a user in a project changed; ``role`` is ``None`` when they were removed."""

    project_id: ProjectId
    user_id: str
    role: Role | None = None


class KeyCreated(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="key.created"):
    """An API key was created."""

    project_id: ProjectId
    key_id: str
    scopes: list[Scope]
    user_id: str | None = None


class KeyRevoked(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="key.revoked"):
    """An API key was revoked."""

    project_id: ProjectId
    key_id: str
    user_id: str | None = None


IdentityEvent = (
    UserRegistered
    | UserDisabled
    | SessionRevoked
    | ProjectCreated
    | ProjectUpdated
    | ProjectDeleted
    | AccessChanged
    | KeyCreated
    | KeyRevoked
)
