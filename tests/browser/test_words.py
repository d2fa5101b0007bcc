"""Rows say what distinguishes their steps: on the real traces, siblings of one name do not read alike."""

from collections import Counter
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect
from tests import reference
from tests.browser.journeys import PATIENCE_MS, make_key
from tests.installation import Platform

from ams_trace_ingest.intake.otlp import Encoding

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

ALIKE_SHARE_MAX = 0.05
# [key of the parent and the name, words] of every drawn row that shares its name with a sibling
NAMESAKES = """() => {
  const path = [], rows = [];
  for (const row of [...document.querySelectorAll('.step-row')].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)) {
    const level = Number(row.ariaLevel);
    path[level] = row.id;
    rows.push([`${path[level - 1] ?? ''} ${row.querySelector('.step-name').textContent}`, row.querySelector('.step-words').textContent]);
  }
  const counts = {};
  for (const [key] of rows) counts[key] = (counts[key] ?? 0) + 1;
  return rows.filter(([key]) => counts[key] > 1);
}"""
ALL_SPEAK = f"() => {{ const rows = ({NAMESAKES})(); return rows.length > 0 && rows.every(([, words]) => words !== '') }}"


def tasks_with_namesakes(name: str) -> list[str]:
    """The tasks of a trace in which at least two children of one step have the same name."""
    steps = reference.folded(reference.mapped([reference.as_json(name)], Encoding.JSON))
    groups: Counter[tuple[Any, ...]] = Counter(
        (task, state.document.parent_step_id, state.document.name) for (task, _), state in steps.items() if state.document is not None
    )
    return sorted({task for (task, _, _), count in groups.items() if count > 1})


def post(platform: Platform, key: str, name: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    httpx.post(f"{platform.url}/v1/traces", content=reference.as_json(name), headers=headers, timeout=60).raise_for_status()


def test_siblings_of_one_name_do_not_read_alike(page: Page, platform: Platform) -> None:
    key = make_key(page)
    project = page.url.split("/projects/")[1].split("/")[0]
    tasks = []
    for name in reference.NAMES:
        post(platform, key, name)
        tasks += tasks_with_namesakes(name)
    alike = total = 0

    for task in tasks:
        page.goto(f"/projects/{project}/tasks/{task}")
        expect(page.locator(".step-row").first).to_be_visible(timeout=PATIENCE_MS)
        page.wait_for_function(ALL_SPEAK, timeout=PATIENCE_MS)
        rows = [tuple(row) for row in page.evaluate(NAMESAKES)]
        counts = Counter(rows)
        total += len(rows)
        alike += sum(1 for row in rows if counts[row] > 1)

    assert total > 90
    assert alike <= ALIKE_SHARE_MAX * total


def test_a_row_shows_the_question_and_the_answer(page: Page, platform: Platform) -> None:
    key = make_key(page)
    project = page.url.split("/projects/")[1].split("/")[0]
    post(platform, key, "pydantic_ai_default")
    task = tasks_with_namesakes("pydantic_ai_default")[0]

    page.goto(f"/projects/{project}/tasks/{task}")

    words = page.locator(".step-row", has=page.locator(".step-name", has_text="running tool")).first.locator(".step-words")
    expect(words).to_contain_text("→", timeout=PATIENCE_MS)
    expect(words).not_to_contain_text("{")
