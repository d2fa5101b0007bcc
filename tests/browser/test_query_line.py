"""The line for queries: completion by keyboard, what was asked before, and where a mistake is."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

SENDER = """
import ams

ams.init()
for name, agent in (("one", "planner"), ("two", "the critic")):
    with ams.task(name, tags={"tier": "gold"}):
        with ams.step(agent, type="agent"):
            pass
assert ams.flush(30).complete
"""


def test_a_query_is_completed_by_keyboard_kept_and_explained(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, SENDER) as process:
        assert process.wait(60) == 0
    tasks = page.locator(".task-row")
    expect(tasks).to_have_count(2, timeout=PATIENCE_MS)
    query = page.get_by_label("Search tasks")
    options = page.get_by_role("option")

    page.keyboard.press("/")
    page.keyboard.type("age")
    expect(options).to_have_text(["agent:text"])
    page.keyboard.press("Tab")
    expect(options.first).to_contain_text("1 task", timeout=PATIENCE_MS)
    page.keyboard.type("cri")
    expect(options).to_have_text(["the critic1 task"])
    page.keyboard.press("ArrowDown")
    expect(query).to_have_attribute("aria-activedescendant", options.first.get_attribute("id") or "")
    page.keyboard.press("Enter")
    expect(query).to_have_value('agent:"the critic" ')
    page.keyboard.press("Enter")
    expect(tasks).to_have_count(1, timeout=PATIENCE_MS)

    query.fill("")
    expect(tasks).to_have_count(2, timeout=PATIENCE_MS)
    expect(options.first).to_have_text('agent:"the critic"recent')
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(tasks).to_have_count(1, timeout=PATIENCE_MS)

    query.fill("agent:planner latancy:>1s")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    mistake = page.get_by_role("alert")
    expect(mistake).to_contain_text("column", timeout=PATIENCE_MS)
    line, arrow = query.bounding_box(), page.locator(".query-mistake").bounding_box()
    assert line is not None
    assert arrow is not None
    style = "(arrow) => [getComputedStyle(arrow).paddingLeft, getComputedStyle(arrow).marginLeft].map(parseFloat)"
    padding, margin = page.locator(".query-mistake").evaluate(style)
    assert abs(arrow["x"] + padding - (line["x"] + 31 + margin)) <= 2
    mistake.get_by_role("button", name="latency:").click()
    expect(query).to_have_value("agent:planner latency:>1s")
    expect(mistake).to_have_count(0, timeout=PATIENCE_MS)

    query.fill("")
    expect(tasks).to_have_count(2, timeout=PATIENCE_MS)
    expect(options.first).to_have_text('agent:"the critic"recent')
    expect(options.filter(has_text="latancy")).to_have_count(0)
