"""``python -m ams_local.documentation_includes [--check]``: parts of pages that are copies of files, so that they stay true.

A page says what belongs at a place, and ``./ams fmt`` writes it there, up to the next ``<!-- end -->``:

    <!-- program: examples/quickstart.py -->           the file, as a block of code
    <!-- tree: agno_agent -->                          the steps that this program of examples/frameworks becomes
    <!-- output: examples/two_processes.py -->         the steps that this program records, which its test compares
    <!-- versions: frameworks agno openai -->          the versions in requirements/frameworks.txt
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ams_local.workspace import ROOT

PAGES = ROOT / "docs"
TREES = ROOT / "tests" / "frameworks" / "trees"
OUTPUTS = ROOT / "tests" / "examples" / "trees"
LINES_MAX = 40
_PART = re.compile(r"(<!-- (program|tree|output|versions): ([^>]*?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_LANGUAGES = {".py": "python", ".sh": "sh", ".toml": "toml"}


def program(path: str) -> str:
    """A file as a block of code."""
    file = ROOT / path
    return f"```{_LANGUAGES[file.suffix]}\n{file.read_text(encoding='utf-8').rstrip()}\n```\n"


def tree(name: str) -> str:
    """The steps that a program of examples/frameworks becomes; of many lines the first."""
    lines = (TREES / f"{name}.txt").read_text(encoding="utf-8").rstrip().splitlines()
    more = [f"... and {len(lines) - LINES_MAX} more lines"] if len(lines) > LINES_MAX else []
    return "\n".join(["```text", *lines[:LINES_MAX], *more, "```", ""])


def output(path: str) -> str:
    """The steps that a program of examples/ records."""
    return f"```text\n{(OUTPUTS / Path(path).with_suffix('.txt').name).read_text(encoding='utf-8').rstrip()}\n```\n"


def versions(words: str) -> str:
    """A sentence with the locked versions of packages."""
    lock, *names = words.split()
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8"), re.MULTILINE))
    return f"Tested with {', '.join(f'`{name}` {locked[name]}' for name in names)}.\n"


_KINDS: dict[str, Callable[[str], str]] = {"program": program, "tree": tree, "output": output, "versions": versions}


def filled(text: str) -> str:
    """A page with its parts as they are now.

    Raises:
        OSError: A file that it names does not exist.
        KeyError: A package that it names is not locked.
    """
    return _PART.sub(lambda part: part[1] + _KINDS[part[2]](part[3]) + part[5], text)


def stale() -> Iterator[tuple[Path, str]]:
    """Pages whose parts differ, with their text as it should be."""
    for page in sorted(PAGES.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (new := filled(text)) != text:
            yield page, new


def main() -> int:
    """Write the parts, or with ``--check`` name the pages that are stale; then the exit code is 1."""
    found = list(stale())
    for page, text in found:
        sys.stdout.write(f"{page.relative_to(ROOT)}\n")
        if "--check" not in sys.argv:
            page.write_text(text, encoding="utf-8")
    if found and "--check" in sys.argv:
        sys.stdout.write("run ./ams fmt\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
