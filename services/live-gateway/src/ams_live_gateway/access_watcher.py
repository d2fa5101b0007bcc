"""Closes sockets when their credential expires or is revoked, when access is lost, and when the project is deleted."""

import asyncio
import time

import structlog

from ams_contracts.claims import IdentityChanged
from ams_contracts.frames import CLOSE_FORBIDDEN, CLOSE_NOT_FOUND, CLOSE_UNAUTHENTICATED
from ams_kit.auth import AuthKit
from ams_kit.background import Background
from ams_kit.errors import AmsError, ForbiddenError
from ams_live_gateway.sockets import Socket
from ams_live_gateway.subscriptions import Hub

SWEEP_SECONDS = 0.5

logger = structlog.get_logger(__name__)


class AccessWatcher:
    """Checks all sockets twice a second against local state, handles identity's events, and asks identity again after missed events."""

    def __init__(self, hub: Hub, auth: AuthKit) -> None:
        self._hub = hub
        self._auth = auth
        self._recheck = asyncio.Event()
        auth.changes.subscribe(self.on_event)
        auth.changes.on_missed_events(self._recheck.set)

    def start(self, background: Background) -> None:
        """Run until the background tasks are stopped."""
        background.spawn_periodic("socket-sweep", self._sweep, every_seconds=SWEEP_SECONDS)
        background.spawn("socket-access", self._recheck_access)

    def on_event(self, changed: IdentityChanged) -> None:
        """Handle an event of identity. The revocation list has processed it already, because it subscribed first."""
        if changed.kind == "project.deleted":
            for socket in self._of_project(changed.project_id):
                socket.close(CLOSE_NOT_FOUND, "the project was deleted")
        elif changed.kind == "key.revoked":
            for socket in list(self._hub.sockets):
                if socket.grant.key is not None and socket.grant.key.key_id == changed.key_id:
                    socket.close(CLOSE_UNAUTHENTICATED, "the API key was revoked")
        elif changed.kind == "access.changed":
            self._recheck.set()
        self.close_unauthorized(time.time())

    def close_unauthorized(self, now_s: float) -> None:
        """Close sockets whose credential has expired or whose session was revoked.

        Args:
            now_s: Seconds since the epoch.
        """
        for socket in list(self._hub.sockets):
            claims = socket.grant.revocable
            if socket.grant.expires_at_s <= now_s:
                socket.close(CLOSE_UNAUTHENTICATED, "the credential has expired")
            elif claims is not None and self._auth.revocations.known_revoked(claims):
                socket.close(CLOSE_UNAUTHENTICATED, "the session was ended")

    async def _sweep(self) -> None:
        self.close_unauthorized(time.time())
        self._hub.expire_recent_changes()
        self._hub.flush_late_lists(time.monotonic())

    async def _recheck_access(self) -> None:
        """Ask identity again who still has access, once per subject and project, after a change or a gap in the events."""
        self._recheck.set()  # a failure may have interrupted a check
        while True:
            await self._recheck.wait()
            self._recheck.clear()
            answers: dict[tuple[str, str], bool] = {}
            for socket in list(self._hub.sockets):
                subject_and_project = (socket.grant.subject, socket.grant.project_id)
                try:
                    if subject_and_project not in answers:
                        answers[subject_and_project] = await self._has_access(*subject_and_project)
                except AmsError:
                    logger.info("access check failed, retrying")
                    await asyncio.sleep(SWEEP_SECONDS)
                    self._recheck.set()
                    break
                if not answers[subject_and_project]:
                    code = CLOSE_FORBIDDEN if socket.grant.claims is not None else CLOSE_UNAUTHENTICATED
                    socket.close(code, "access to the project has ended")

    async def _has_access(self, subject: str, project_id: str) -> bool:
        try:
            return await self._auth.access(subject, project_id) is not None
        except ForbiddenError:  # a second factor is required now
            return False

    def _of_project(self, project_id: str | None) -> list[Socket]:
        return [socket for socket in self._hub.sockets if socket.grant.project_id == project_id]
