"""``python -m ams_local.plain_words``: refuses words that this repository replaces by the field's standard terms.

A reader should never have to translate. The list holds words that were used here as a private dialect, with what to write instead. It is
read from every tracked text file: comments, docstrings, names, messages, documentation. A line that needs such a word in its ordinary
sense is listed in ``plain_words_allowed.txt`` beside this file.
"""

import fnmatch
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from ams_local.workspace import ROOT

ALLOWED = Path(__file__).with_name("plain_words_allowed.txt")
SUFFIXES = frozenset({".py", ".ts", ".tsx", ".mjs", ".css", ".md", ".sql", ".html", ".toml"})
FINDINGS_SHOWN_MAX = 200

REPLACEMENTS: dict[str, str] = {
    r"tells?|told|retold": "receives, reports, notifies, says",
    r"stands?|stood": "is, exists, holds, is written",
    r"anew": "again, recreated",
    r"whoever": "the one who, every client that",
    r"(?<!right )away(?! from)": "unavailable, down",
    r"spoken of|speaks? of|spoke of": "named, mentioned",
    r"heard|hears": "received",
    r"looks? again|looked again": "re-checks, verifies",
    r"beneath": "below, under",
    r"gone": "deleted, closed, ended",
    r"bold|boldly": "the condition itself",
    r"(?<!os\.)(?<!ast\.)(?<!Path\.)walk|walks|walked|walking": "scan, traverse, iterate",
    r"wish|wishes": "option, setting",
    r"meanwhile": "at the same time, overlaps",
    r"go on|goes on|went on|going on": "continue, resume",
    r"come back|comes back|came back": "return, restart, recover",
    r"takes? out|took out": "remove, check out",
    r"comes? to (?:be|an end)": "become, end",
    r"mend|mends|mended": "repair, replace",
    r"bury|buried|buries": "dead letter, reject",
    r"revives?|revived": "retry, restore",
    r"zygote": "fork server",
}
"""Pattern of a word -> what to write instead. A word ends at anything but a letter, so that names are read too."""


class Finding(Struct, frozen=True):
    """One word in one line (from 1)."""

    path: str
    line: int
    word: str
    instead: str
    text: str


_PATTERNS = [(re.compile(rf"(?<![A-Za-z])(?i:{word})(?![a-z])"), instead) for word, instead in REPLACEMENTS.items()]


def read_allowed(text: str) -> list[tuple[str, re.Pattern[str]]]:
    """The allow-list: a glob of paths, a space, and a regular expression that the allowed line contains; ``#`` begins a comment."""
    lines = (line.strip() for line in text.splitlines())
    return [
        (glob, re.compile(pattern)) for line in lines if line and not line.startswith("#") for glob, _, pattern in [line.partition(" ")]
    ]


def find(path: str, text: str, allowed: list[tuple[str, re.Pattern[str]]]) -> Iterator[Finding]:
    """The words of one file that are to be replaced.

    Args:
        path: As the repository names it.
        text: The content.
        allowed: From ``read_allowed``.
    """
    here = [pattern for glob, pattern in allowed if fnmatch.fnmatch(path, glob)]
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, instead in _PATTERNS:
            match = pattern.search(line)
            if match is not None and not any(one.search(line) for one in here):
                yield Finding(path, number, match.group(), instead, line.strip())


def main() -> int:
    """Check every tracked file; the exit code is 1 when a word was found."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)  # noqa: S603  our own argument list
    allowed = read_allowed(ALLOWED.read_text(encoding="utf-8"))
    paths = [path for path in sorted(listed.stdout.decode().split("\0")) if Path(path).suffix in SUFFIXES and (ROOT / path).exists()]
    found = [finding for path in paths for finding in find(path, (ROOT / path).read_text(encoding="utf-8"), allowed)]
    for one in found[:FINDINGS_SHOWN_MAX]:
        sys.stdout.write(f'{one.path}:{one.line}: "{one.word}": write {one.instead}\n    {one.text[:160]}\n')
    if found:
        sys.stdout.write(
            f"{len(found)} words to replace. A line that needs one in its ordinary sense goes into {ALLOWED.relative_to(ROOT)}.\n"
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
