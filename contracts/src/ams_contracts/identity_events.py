"""What identity tells the log (``ams.identity.v1``), one event a record, key = the id of what it is about. No secrets, no addresses of people."""

from typing import Literal

from msgspec import Struct

from ams_contracts.claims import Role, Scope
from ams_contracts.ids import EventId, Microseconds, ProjectId


class IdentityEventBase(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What every event says: which one it is, and when it was committed."""

    v: Literal[1] = 1
    event_id: EventId
    at_us: Microseconds


class UserRegistered(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="user.registered"):
    """Somebody has an account."""

    user_id: str
    username: str


class UserDisabled(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="user.disabled"):
    """An account was closed to its owner; every token of it is void."""

    user_id: str


class SessionRevoked(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="session.revoked"):
    """A sign-in was ended. ``reason``: logout, reuse (a refresh token came twice), password (it was changed elsewhere)."""

    user_id: str
    session_id: str
    reason: Literal["logout", "reuse", "password"]


class ProjectCreated(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="project.created"):
    """There is a new project."""

    project_id: ProjectId
    name: str
    user_id: str


class AccessChanged(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="access.changed"):
    """A user is something else in a project now; ``role`` is ``None`` when they are nothing there any more."""

    project_id: ProjectId
    user_id: str
    role: Role | None = None


class KeyCreated(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="key.created"):
    """A project has a new API key."""

    project_id: ProjectId
    key_id: str
    scopes: list[Scope]
    user_id: str | None = None


class KeyRevoked(IdentityEventBase, frozen=True, kw_only=True, omit_defaults=True, tag="key.revoked"):
    """An API key opens nothing any more."""

    project_id: ProjectId
    key_id: str
    user_id: str | None = None


IdentityEvent = UserRegistered | UserDisabled | SessionRevoked | ProjectCreated | AccessChanged | KeyCreated | KeyRevoked
