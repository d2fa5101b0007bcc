"""The exchange between the supervisor and the demo process: settings in one direction, a single-use sign-in code in the other."""

from pathlib import Path

import msgspec
from msgspec import Struct

from ams_local.data import DataDir
from ams_local.plan import Surroundings


class Made(Struct, frozen=True, kw_only=True):
    """The demo process's message to the supervisor."""

    signin_code: str


class DemoAnswer:
    """The file by which the demo process reports that it has started."""

    def __init__(self, data: DataDir) -> None:
        self._path = data.root / "demo.json"

    @property
    def path(self) -> Path:
        return self._path

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)

    async def is_there(self) -> bool:
        return self._path.exists()

    def signin_code(self) -> str:
        return msgspec.json.decode(self._path.read_bytes(), type=Made).signin_code


def demo_environment(where: Surroundings, data: DataDir) -> dict[str, str]:
    """What the demo process needs until it becomes the agent."""
    return {
        "AMS_IDENTITY_URL": where.internal_url("identity"),
        "AMS_SERVICE_SECRET": where.secrets.service_secret,
        "AMS_ENDPOINT": where.public_url,
        "AMS_SPOOL_DIR": str(data.root / "demo-spool"),
        "AMS_DEMO_FILE": str(DemoAnswer(data).path),
        "AMS_DEMO_KEY_FILE": str(data.root / "demo-key"),
    }
