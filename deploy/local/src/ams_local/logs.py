"""The log files of the processes: bounded, read from their ends.

The processes append to their files themselves, so a stalled supervisor never stalls them. A file that grew too long is copied and emptied.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

FILE_BYTES_MAX = 8 * 1024 * 1024
OLDER_SUFFIX = ".1"
TAIL_BYTES = 65_536


def bound_logs(folder: Path) -> None:
    """Keep each file and its one older generation below the limit. Lines written between copying and emptying (microseconds) are lost."""
    for log in folder.glob("*.log"):
        if log.stat().st_size > FILE_BYTES_MAX:
            with contextlib.suppress(OSError):  # a full disk has no room for an older generation
                shutil.copyfile(log, log.with_name(log.name + OLDER_SUFFIX))
            os.truncate(log, 0)


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a file, none when there is no such file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []


def last_line(log: Path) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(last_lines(log, 50)) if line.strip()), "(nothing was written)")


class Follower:
    """Reads what is appended to files, also after they were emptied."""

    def __init__(self, logs: list[Path]) -> None:
        self._offsets = {log: log.stat().st_size if log.exists() else 0 for log in logs}

    def new_lines(self) -> Iterator[tuple[Path, str]]:
        """Lines since the last call; a line without its end waits."""
        for log, offset in self._offsets.items():
            size = log.stat().st_size if log.exists() else 0
            start = offset if size >= offset else 0
            if size == start:
                self._offsets[log] = start
                continue
            with log.open("rb") as file:
                file.seek(start)
                whole, newline, _ = file.read().rpartition(b"\n")
            self._offsets[log] = start + len(whole) + len(newline)
            for line in whole.decode(errors="replace").splitlines():
                yield log, line
