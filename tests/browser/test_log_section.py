"""The log lines of a step in its detail: live while it runs, from the tables afterwards, each once."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, resume, row, task_id_of
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

LINES_OF_A_PAGE = 200
LOGGING = """
import ams

ams.init(heartbeat_seconds=0.5)
with ams.task("Index pages") as task:
    print(task.task_id, flush=True)
    with ams.step("crawl", type="tool") as step:
        step.log("1 of 2 pages")
        input()
        step.log("page 2 is slow", level="warning")
        step.log("page 2 failed", level="error")
        input()
    with ams.step("count", type="tool") as step:
        for number in range(1_002):
            step.log(f"line {number}")
    with ams.step("quiet", type="tool"):
        pass
assert ams.flush(30).complete
"""


def log_of(page: Page) -> Locator:
    heading = page.get_by_role("button", name="Log", exact=True)
    return page.locator("#detail section").filter(has=heading)


def test_log_lines_appear_live_and_are_the_same_after_a_reload(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, LOGGING) as process:
        page.goto(f"/t/{task_id_of(process)}")
        row(page, "crawl").click(timeout=PATIENCE_MS)
        lines = log_of(page).get_by_role("listitem")
        expect(lines).to_have_count(1, timeout=PATIENCE_MS)
        resume(process)
        expect(lines).to_have_count(3, timeout=PATIENCE_MS)
        resume(process)
        assert process.wait(60) == 0

    expect(page.locator(".task-bar .pill")).to_contain_text("ok", timeout=PATIENCE_MS)
    page.goto(page.url)

    expect(lines).to_have_count(3, timeout=PATIENCE_MS)
    expect(lines.nth(0)).to_contain_text("1 of 2 pages")
    expect(lines.nth(1)).to_have_attribute("data-level", "warning")
    expect(lines.nth(2)).to_contain_text("page 2 failed")
    expect(lines.nth(2)).to_have_attribute("data-level", "error")
    row(page, "quiet").click()
    expect(page.locator("#detail").get_by_role("heading", name="quiet")).to_be_visible(timeout=PATIENCE_MS)
    expect(log_of(page)).to_have_count(0)


def test_a_long_log_is_shown_in_parts_and_counts_the_lines_that_were_not_kept(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, LOGGING) as process:
        task_id = task_id_of(process)
        resume(process)
        resume(process)
        assert process.wait(60) == 0
    page.goto(f"/t/{task_id}")
    row(page, "count").click(timeout=PATIENCE_MS)
    lines = log_of(page).get_by_role("listitem")

    expect(lines).to_have_count(LINES_OF_A_PAGE, timeout=PATIENCE_MS)
    expect(log_of(page)).to_contain_text("2 further lines are over the limit")
    log_of(page).get_by_role("button", name="Show more lines").click()

    expect(lines).to_have_count(2 * LINES_OF_A_PAGE, timeout=PATIENCE_MS)
    expect(lines.last).to_contain_text(f"line {2 * LINES_OF_A_PAGE - 1}")
