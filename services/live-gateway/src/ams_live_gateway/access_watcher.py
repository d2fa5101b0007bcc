"""Who may stay: sockets are closed when their token ends or is revoked, when access is lost, and when the project is gone."""

import asyncio
import time

import structlog

from ams_contracts.claims import IdentityChanged
from ams_contracts.frames import CLOSE_FORBIDDEN, CLOSE_NOT_FOUND, CLOSE_UNAUTHENTICATED
from ams_kit.auth import AuthKit
from ams_kit.background import Background
from ams_kit.errors import AmsError
from ams_live_gateway.sockets import Socket
from ams_live_gateway.subscriptions import Hub

SWEEP_SECONDS = 0.5

logger = structlog.get_logger(__name__)


class AccessWatcher:
    """Looks at all sockets twice a second, by what this process knows; hears identity's channel, and asks anew when it may have missed something."""

    def __init__(self, hub: Hub, auth: AuthKit) -> None:
        self._hub = hub
        self._auth = auth
        self._recheck = asyncio.Event()
        auth.changes.subscribe(self.on_event)
        auth.changes.on_missed_events(self._recheck.set)

    def start(self, background: Background) -> None:
        """Watch until the background tasks are stopped."""
        background.spawn_periodic("socket-sweep", self._sweep, every_seconds=SWEEP_SECONDS)
        background.spawn("socket-access", self._recheck_access)

    def on_event(self, changed: IdentityChanged) -> None:
        """A message of identity's channel. The list of revocations has heard it before us."""
        if changed.kind == "project.deleted":
            for socket in self._of_project(changed.project_id):
                socket.close(CLOSE_NOT_FOUND, "the project was deleted")
        elif changed.kind == "access.changed":
            self._recheck.set()
        self.close_unauthorized(time.time())

    def close_unauthorized(self, now_s: float) -> None:
        """Close whose token is over or revoked.

        Args:
            now_s: Seconds since the epoch.
        """
        for socket in list(self._hub.sockets):
            claims = socket.grant.claims
            if claims.exp <= now_s:
                socket.close(CLOSE_UNAUTHENTICATED, "the token has expired")
            elif self._auth.revocations.known_revoked(claims):
                socket.close(CLOSE_UNAUTHENTICATED, "the session was ended")

    async def _sweep(self) -> None:
        self.close_unauthorized(time.time())
        self._hub.expire_recent_changes()

    async def _recheck_access(self) -> None:
        """Whether each user still may, asked once per user and project, when there is reason to doubt it."""
        self._recheck.set()  # after a failure, a check may have been left half done
        while True:
            await self._recheck.wait()
            self._recheck.clear()
            answers: dict[tuple[str, str], bool] = {}
            for socket in list(self._hub.sockets):
                user_and_project = (socket.grant.claims.sub, socket.grant.project_id)
                try:
                    if user_and_project not in answers:
                        answers[user_and_project] = await self._auth.access(*user_and_project) is not None
                except AmsError:
                    logger.info("access is not known right now")
                    await asyncio.sleep(SWEEP_SECONDS)
                    self._recheck.set()
                    break
                if not answers[user_and_project]:
                    socket.close(CLOSE_FORBIDDEN, "the project is not open to you any more")

    def _of_project(self, project_id: str | None) -> list[Socket]:
        return [socket for socket in self._hub.sockets if socket.grant.project_id == project_id]
