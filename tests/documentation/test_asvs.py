"""The reading of ASVS 5.0: every item has an answer, the counts are right, and what a row names exists."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "asvs.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (V\d+\.\d+\.\d+) \| ([12]) \| (.+?) \| (yes|partly|no|n/a|open) \| (.+) \|$", re.MULTILINE)
PLACE = re.compile(r"`([\w./-]+/[\w./-]+|[\w-]+\.(?:md|toml))`")
ITEMS = 253  # of levels 1 and 2 in version 5.0.0


def rows() -> list[tuple[str, str, str, str, str]]:
    return ROW.findall(PAGE)


def test_every_item_has_one_answer_and_the_counts_are_right() -> None:
    counts = Counter(answer for _, _, _, answer, _ in rows())

    assert len({item for item, *_ in rows()}) == len(rows()) == ITEMS == PAGE.count("\n| V")
    summary = ", ".join(f"{counts[answer]} {answer}" for answer in ("yes", "partly", "no", "n/a", "open"))
    assert f"{ITEMS} items: {summary}." in PAGE


def test_what_a_row_names_exists() -> None:
    named = {(item, place) for item, _, _, _, evidence in rows() for place in PLACE.findall(evidence) if not place.startswith("/")}

    assert len(named) > 100
    assert [(item, place) for item, place in sorted(named) if not (ROOT / place).exists()] == []


def test_a_yes_names_a_file() -> None:
    without = [item for item, _, _, answer, evidence in rows() if answer == "yes" and not PLACE.search(evidence)]

    assert without == ["V1.4.1"], "name a file"  # the languages are safe everywhere
