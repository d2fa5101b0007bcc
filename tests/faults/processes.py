"""Kill processes of a platform, and wait for their recovery."""

import os
import signal

import httpx
from tests.faults.follower import Follower
from tests.faults.load import Load
from tests.installation import Platform, until

RECOVERY_SECONDS_MAX = 30
RECOVERY_SECONDS_WANTED = 15  # on a machine that does nothing else


def kill(platform: Platform, name: str) -> int:
    pid = int(platform.processes()[name]["pid"])
    os.kill(pid, signal.SIGKILL)
    return pid


def ready_again(platform: Platform, name: str, killed: int) -> bool:
    now = platform.processes()
    return now[name]["pid"] not in {0, killed} and all(one["state"] == "ready" for one in now.values())


def until_served(load: Load, follower: Follower, seconds: float) -> None:
    """Until a span that is posted now is acknowledged and readable, and one of the watched task has arrived live."""
    frames = len(follower.frames)
    task_id = load.canary()

    def readable() -> bool:
        try:
            return load.project.http.get(f"/api/traces/{load.project.id}/tasks/{task_id}").status_code == 200
        except httpx.TransportError:
            return False

    until(readable, seconds, "a new span is readable")
    until(lambda: len(follower.frames) > frames, seconds, "a new frame arrives")
