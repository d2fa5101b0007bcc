"""Documentation that can be checked: links between pages exist, and every decision is in the index."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ams_local import documentation, documentation_api, documentation_includes

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)")


def test_the_index_of_decisions_names_every_page() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")

    for page in sorted(folder.glob("[0-9]*.md")):
        title = page.read_text(encoding="utf-8").splitlines()[0].partition(": ")[2]
        assert f"| [{page.name[:4]}]({page.name}) | {title} |" in index


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link and not link.startswith("mailto:")]

    assert [link for link in links if not (page.parent / link).exists()] == []


def named_in(navigation: object) -> Iterator[str]:
    """The pages of a navigation, nested ones too."""
    if isinstance(navigation, str):
        yield navigation
    elif isinstance(navigation, dict):
        for part in navigation.values():
            yield from named_in(part)
    elif isinstance(navigation, list):
        for part in navigation:
            yield from named_in(part)


def test_the_navigation_of_the_site_has_every_page_and_no_other() -> None:
    navigation = tomllib.loads((documentation.SOURCES / documentation.CONFIGURATION).read_text(encoding="utf-8"))["project"]["nav"]
    named = list(named_in(navigation))

    pages = {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md") if not page.name[:4].isdigit()}
    assert sorted(named) == sorted(pages | set(documentation.PAGES_BESIDE.values()))


def test_copies_and_the_python_reference_are_up_to_date() -> None:
    stale = [str(page.relative_to(ROOT)) for page, _ in documentation_includes.stale()]

    assert stale == []
    assert documentation_api.PAGE.read_text(encoding="utf-8") == documentation_api.render()
