"""The second path of identity's changes: the topic ``ams.identity.v1``, for the time in which the Redis channel is unavailable.

Redis is the first path: it is faster, and a request reads the revocation list there. The log reaches a service also while Redis is frozen or down, so that
open sockets close and cached grants are dropped. A process reads the last minutes at its start, as long as an access token lives.
"""

from collections.abc import Callable, Sequence

import msgspec
import structlog

from ams_contracts.claims import IdentityChanged
from ams_contracts.codec import MalformedError, decode
from ams_contracts.identity_events import (
    AccessChanged,
    IdentityEvent,
    KeyRevoked,
    ProjectDeleted,
    ProjectUpdated,
    SessionRevoked,
    UserDisabled,
)
from ams_contracts.topics import IDENTITY, Topic
from ams_kit.background import Background
from ams_kit.bus import Kafka, LogRecord, Tail

BACK_SECONDS = 900  # an access token lives 600 s, and clocks differ

logger = structlog.get_logger(__name__)
_event = msgspec.json.Decoder(IdentityEvent)


def changes_of(event: IdentityEvent) -> Sequence[IdentityChanged]:
    """What caches must drop after an event of identity."""
    match event:
        case SessionRevoked():
            return [IdentityChanged(kind="session.revoked", user_id=event.user_id, session_id=event.session_id)]
        case UserDisabled():
            until_s = event.at_us // 1_000_000 + 1
            return [
                IdentityChanged(kind="session.revoked", user_id=event.user_id, until_s=until_s),
                IdentityChanged(kind="access.changed", user_id=event.user_id),
            ]
        case AccessChanged() | ProjectUpdated():
            user_id = (
                event.user_id if isinstance(event, AccessChanged) else None
            )  # of everybody: the project may require a second factor now
            return [IdentityChanged(kind="access.changed", user_id=user_id, project_id=event.project_id)]
        case ProjectDeleted():
            return [IdentityChanged(kind="project.deleted", project_id=event.project_id)]
        case KeyRevoked():
            return [IdentityChanged(kind="key.revoked", key_id=event.key_id, project_id=event.project_id)]
        case _:
            return []


class IdentityLog:
    """Calls a function with every change that the log reports. A change usually arrives over the channel, too; subscribers take it twice."""

    def __init__(self, kafka: Kafka, deliver: Callable[[IdentityChanged], None], *, topic: Topic = IDENTITY) -> None:
        self._deliver = deliver
        self._tail = Tail(kafka, (topic,), back_seconds=BACK_SECONDS)

    async def start(self, background: Background) -> None:
        """Read until the background tasks stop. Returns immediately, whether or not the broker answers."""
        await self._tail.start(self._on_records, background=background, name="identity-log")

    def _on_records(self, records: list[LogRecord]) -> None:
        for record in records:
            try:
                event = decode(_event, record.value or b"")
            except MalformedError as error:  # of a newer release
                logger.warning("event of identity could not be decoded", code=error.code, offset=record.offset)
                continue
            for changed in changes_of(event):
                self._deliver(changed)
