"""Segments of the spool: files that one process appends to, and that another one takes over after its death.

A writer holds a lock (``flock``) on each of its segments until it deletes the file or ends. So a segment whose lock is free belongs to a dead process.
"""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ams.settings import SdkSettings
from ams.spool.frames import Header, contents, frame, header_of, pack_value

SUFFIX = ".ams"
_UNFINISHED_SUFFIX = ".new"
_UNFINISHED_SECONDS = 60.0  # a file that was not renamed after this time never will be
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
SEGMENT_BYTES = 4 * 1024 * 1024


def spool_root(settings: SdkSettings) -> Path:
    """``spool_dir``, or ``ams/spool`` in the user's state directory."""
    if settings.spool_dir:
        return Path(settings.spool_dir).expanduser()
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "ams" / "spool"


def destination_of(settings: SdkSettings) -> str:
    """A folder's name for endpoint and key: what one project's program wrote never goes to another project."""
    return hashlib.sha256(f"{settings.endpoint}\n{settings.api_key}".encode()).hexdigest()[:16]


class Segment:
    """A file of this process, locked and open for appending. ``append`` may be called by any thread: a frame is one ``write``."""

    __slots__ = ("__weakref__", "_descriptor", "deleted", "full", "path", "size", "skipped")

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.size = 0
        self.skipped = 0
        """Frames that the queue refused: only this file has them."""
        self.full = False
        """A write failed: nothing more is written to this file."""
        self.deleted = False
        self._descriptor = descriptor

    def append(self, data: bytes, *, sync: bool = False) -> bool:
        """Write frames by one call of the system.

        Returns:
            False when the disk is full or refuses. The reader skips the part that was written.
        """
        if self.full or self._descriptor < 0:
            return False
        try:
            written = os.write(self._descriptor, data)
            if sync:
                os.fsync(self._descriptor)
        except OSError:
            self.full = True
            return False
        self.size += written
        self.full = written < len(data)
        return not self.full

    def delete(self) -> None:
        """Delete the file. A thread that still appends to it writes to a file without a name, so the descriptor stays until the last reference goes."""
        self.deleted = True
        with contextlib.suppress(OSError):
            self.path.unlink()

    def __del__(self) -> None:  # by the last reference, so that no thread writes to a descriptor that is something else by then
        self.release()

    def release(self) -> None:
        """Close without deleting: another process may take it over."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Content:
    """What a segment holds. ``header`` is None when nothing in it can be read."""

    header: Header | None
    frames: list[bytes]
    damaged: int


def read(path: Path) -> Content:
    """Read a segment.

    Raises:
        OSError: The file cannot be read now.
    """
    frames, damaged = contents(path.read_bytes())
    header = header_of(frames[0]) if frames else None
    return Content(header, frames[1:] if header is not None else [], damaged)


class Taken:
    """A segment of a dead process, locked by this one."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def delete(self) -> None:
        """It was delivered, or is to be forgotten."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.release()

    def release(self) -> None:
        """Leave it to another process."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def take(path: Path) -> Taken | None:
    """Lock a segment.

    Returns:
        None while its process lives, when another process was faster, or when the file is not there any more.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink > 0:
            return Taken(path, descriptor)
    except OSError:
        pass
    os.close(descriptor)
    return None


def folders_below(root: Path) -> list[Path]:
    """Folders of a spool, by name."""
    try:
        return sorted(path for path in root.iterdir() if path.is_dir())
    except OSError:
        return []


class Folder:
    """The segments of one endpoint and key, of all processes."""

    def __init__(self, settings: SdkSettings, path: Path | None = None) -> None:
        self._settings = settings
        self.path = path or spool_root(settings) / destination_of(settings)
        self._number = 0

    def create(self, instance_id: str, producer: bytes, *, journal: bool) -> Segment | None:
        """A new segment with its header, locked before it has its name.

        Returns:
            None when the directory cannot be written or the disk is full.
        """
        self._number += 1
        name = f"{time.time_ns() // 1000:016d}-{instance_id[:8]}-{self._number:06d}"
        unfinished = self.path / (name + _UNFINISHED_SUFFIX)
        try:
            self.path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, _FILE_MODE)
        except OSError:
            return None
        segment = Segment(self.path / (name + SUFFIX), descriptor)
        header = Header(
            instance_id=instance_id,
            producer=producer,
            journal=journal,
            pid=os.getpid(),
            endpoint=self._settings.endpoint,
            created_ns=time.time_ns(),
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if segment.append(frame(pack_value(header))):
                unfinished.rename(segment.path)
                return segment
        except OSError:
            pass
        with contextlib.suppress(OSError):
            unfinished.unlink()
        segment.release()
        return None

    def siblings(self) -> list["Folder"]:
        """Those of other endpoints and keys."""
        return [Folder(self._settings, path) for path in folders_below(self.path.parent) if path != self.path]

    def paths(self) -> list[Path]:
        """All segments, oldest first."""
        try:
            return sorted(path for path in self.path.iterdir() if path.suffix == SUFFIX)
        except OSError:
            return []

    def size(self) -> int:
        """Bytes of all segments."""
        total = 0
        for path in self.paths():
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total

    def abandoned(self) -> Iterator[Taken]:
        """Lock the segments of dead processes, oldest first. The caller deletes or releases each."""
        self._remove_unfinished()
        for path in self.paths():
            taken = take(path)
            if taken is not None:
                yield taken

    def _remove_unfinished(self) -> None:
        with contextlib.suppress(OSError):
            for path in self.path.glob("*" + _UNFINISHED_SUFFIX):
                if time.time() - path.stat().st_mtime > _UNFINISHED_SECONDS:
                    path.unlink()
