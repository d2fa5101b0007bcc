"""The check of words that this repository replaces by standard terms."""

import pytest

from ams_local.plain_words import find, read_allowed


@pytest.mark.parametrize(
    "line",
    [
        "# the projector is told of it",
        "def tell(self) -> None:",
        "async def _walk_up(self) -> None:",
        "The log stands still.",
        "const goneTasks = 1",
        "While the broker is away, it waits.",
    ],
)
def test_a_private_word_is_found_in_text_and_in_names(line: str) -> None:
    assert [finding.line for finding in find("a.py", f"\n{line}\n", [])] == [2]


@pytest.mark.parametrize(
    "line", ["for path in os.walk(top):", "Withstands load", "standard terms", "right away", "bolder than ever", "standalone"]
)
def test_ordinary_words_pass(line: str) -> None:
    assert list(find("a.py", line, [])) == []


def test_the_allow_list_names_a_path_and_a_line() -> None:
    allowed = read_allowed("# a comment\ndocs/*.md take a walk\n")

    assert list(find("docs/a.md", "They take a walk.", allowed)) == []
    assert len(list(find("docs/a.md", "The walk of a tree.", allowed))) == 1
    assert len(list(find("src/a.py", "They take a walk.", allowed))) == 1
