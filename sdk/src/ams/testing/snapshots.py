"""Snapshot files: one per call, in ``ams_snapshots/<test module>/`` beside the test's file."""

import hashlib
import os
import re
from pathlib import Path

from ams.testing.tree import difference, normal

FOLDER = "ams_snapshots"
_NAME_CHARS_MAX = 100


class Snapshots:
    """The files of one test.

    Args:
        test_file: The file of the test.
        test_name: Its name, with class and parameters.
        update: Write the files instead of comparing them.
    """

    def __init__(self, test_file: Path, test_name: str, *, update: bool) -> None:
        self._folder = test_file.parent / FOLDER / test_file.stem
        self._test_name = test_name
        self._update = update
        self._unnamed = 0

    def check(self, text: str, name: str | None) -> None:
        """Compare with the file, or write it.

        Raises:
            AssertionError: There is no file, or it has another text.
        """
        __tracebackhide__ = True
        path = self._folder / f"{_file_name(self._label(name))}.txt"
        if self._update:
            _write(path, normal(text) + "\n")
            return
        if not path.is_file():
            raise AssertionError(f"There is no snapshot {path}. Run pytest --ams-update to write it.")
        expected = path.read_text(encoding="utf-8")
        if normal(expected) != normal(text):
            lines = "\n".join(difference(expected, text))
            raise AssertionError(
                f"The steps differ from the snapshot {path} (- snapshot, + recorded). Run pytest --ams-update if this is right.\n{lines}"
            )

    def _label(self, name: str | None) -> str:
        if name is not None:
            return f"{self._test_name}.{name}"
        self._unnamed += 1
        return self._test_name if self._unnamed == 1 else f"{self._test_name}.{self._unnamed}"


def _file_name(label: str) -> str:
    """Characters that every file system takes; what had others keeps apart by a hash."""
    safe = re.sub(r"[^\w.\[\]-]", "_", label, flags=re.ASCII)[:_NAME_CHARS_MAX]
    return safe if safe == label else f"{safe}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
