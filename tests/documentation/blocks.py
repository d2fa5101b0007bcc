"""The code blocks of the documentation.

A block that cannot be executed here has a comment before it that says why: ``<!-- noexec: needs the package of Phoenix -->``; a page of signatures has
``<!-- noexec page: ... -->``.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")] if path.name != "CHANGELOG.md"
)
REASON_CHARS_MIN = 10
_BLOCK = re.compile(
    r"(?:<!-- noexec: (?P<reason>[^>]+) -->\n+)?(?:<!-- (?P<kind>program|tree|output): [^>]*-->\n)?"
    r"^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
_PAGE_REASON = re.compile(r"<!-- noexec page: ([^>]+) -->")


class Block(Struct, frozen=True, kw_only=True):
    """A block of code.

    Attributes:
        page: From the root of the repository.
        line: Of its first line, from 1.
        language: ``python``, ``sh`` ...; empty when the page names none.
        text: Without the indentation of the block.
        reason: Why it is not executed; None when it is.
        copied: It is the copy of a file that has tests of its own.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str | None
    copied: bool

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    page = path.read_text(encoding="utf-8")
    of_page = _PAGE_REASON.search(page)
    for found in _BLOCK.finditer(page):
        indent = found["indent"]
        lines = [line.removeprefix(indent) for line in found["text"].splitlines()]
        yield Block(
            page=str(path.relative_to(ROOT)),
            line=page.count("\n", 0, found.start("text")) + 1,
            language=found["language"],
            text="\n".join(lines) + "\n",
            reason=found["reason"] or (of_page[1] if of_page else None),
            copied=found["kind"] is not None,
        )


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def executed(language: str) -> dict[str, list[Block]]:
    """Blocks of a language that are executed, by page."""
    found: dict[str, list[Block]] = {}
    for block in BLOCKS:
        if block.language == language and block.reason is None and not block.copied:
            found.setdefault(block.page, []).append(block)
    return found
