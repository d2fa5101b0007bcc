"""The keys that ``ams login`` keeps, one for each platform, in a file that only its owner may read."""

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct


class Login(Struct, kw_only=True):
    """A key with the scope ``read``."""

    api_key: str
    project_id: str
    project_name: str = ""


class Credentials(Struct, kw_only=True):
    """The file. ``endpoint`` is the platform of the last login, which commands use when nothing else names one."""

    endpoint: str = ""
    logins: dict[str, Login] = {}


def credentials_path() -> Path:
    """``$XDG_CONFIG_HOME/ams/credentials.json``, by default below ``~/.config``."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "ams" / "credentials.json"


def read_credentials() -> Credentials:
    """The stored keys; none when there is no file, or one that cannot be read."""
    try:
        return msgspec.json.decode(credentials_path().read_bytes(), type=Credentials)
    except (OSError, msgspec.MsgspecError):
        return Credentials()


def write_credentials(credentials: Credentials) -> Path:
    """Replace the file, with mode 600 from its first byte on.

    Raises:
        OSError: It cannot be written.
    """
    path = credentials_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(credentials), indent=2))
    draft.replace(path)
    return path
