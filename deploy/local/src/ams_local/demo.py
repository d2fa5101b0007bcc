"""The demo: an account, a key, a link, and then this process becomes the example agent."""

import os
import sys
from pathlib import Path

import msgspec

from ams_local.demo_link import Made
from ams_local.internal import IdentityClient
from ams_local.workspace import DEMO, ROOT

USERNAME = "demo"
KEY_NAME = "demo agent"
OURS = ("AMS_IDENTITY_URL", "AMS_SERVICE_SECRET", "AMS_DEMO_FILE", "AMS_DEMO_KEY_FILE")


def _key(client: IdentityClient, project_id: str, path: Path) -> str:
    """The key of earlier starts, so that a hundred starts do not make a hundred keys."""
    if path.exists():
        return path.read_text(encoding="ascii")
    key = client.key(project_id, KEY_NAME)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key)
    return key


def main(_: list[str]) -> None:
    """Run as a process of the supervisor."""
    client = IdentityClient(os.environ["AMS_IDENTITY_URL"], os.environ["AMS_SERVICE_SECRET"])
    account = client.account(USERNAME)
    key = _key(client, account.project_id, Path(os.environ["AMS_DEMO_KEY_FILE"]))
    answer = Path(os.environ["AMS_DEMO_FILE"])
    scratch = answer.with_suffix(".new")
    scratch.write_bytes(msgspec.json.encode(Made(signin_code=client.signin_code(account.user_id))))
    scratch.chmod(0o600)
    scratch.replace(answer)
    environ = {name: value for name, value in os.environ.items() if name not in OURS}
    os.chdir(ROOT)
    os.execve(sys.executable, [sys.executable, str(DEMO)], {**environ, "AMS_API_KEY": key, "PYTHONUNBUFFERED": "1"})  # noqa: S606  our own program
