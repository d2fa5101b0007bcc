"""Time travel: a task as it was at every position of its log, finished and while it runs, in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, resume, row, task_id_of
from tests.browser.test_explorer import AXE, AXE_RUN
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]


def bar(page: Page) -> Locator:
    return page.get_by_role("region", name="Time travel")


def slider(page: Page) -> Locator:
    return bar(page).get_by_role("slider")


def open_at_the_end(page: Page) -> int:
    """Begin to travel; how many records the log of the task has."""
    page.get_by_role("button", name="Time travel").click()
    expect(bar(page).locator(".time-travel-place")).to_have_text(re.compile(r"^([\d,]+) / \1 "), timeout=PATIENCE_MS)
    return int(slider(page).get_attribute("max") or 0)


def rows(page: Page) -> list[str]:
    return page.locator("[role=treegrid] [role=row] .step-name").all_inner_texts()


def test_a_finished_task_is_shown_as_it_was_at_each_position(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path) as process:
        task = task_id_of(process)
        page.goto(f"/t/{task}")
        expect(row(page, "guide")).to_be_visible(timeout=PATIENCE_MS)
        resume(process)
        expect(row(page, "answer")).to_be_visible(timeout=PATIENCE_MS)
        resume(process)
        assert process.wait(60) == 0
    facts = page.locator(".task-facts")
    expect(page.locator(".task-bar .pill[data-status=ok]")).to_be_visible(timeout=PATIENCE_MS)
    expect(facts).to_contain_text("tokens", timeout=PATIENCE_MS)  # totals follow the last event
    end = facts.inner_text()
    count = open_at_the_end(page)
    assert count >= 3

    # the last position is the present
    assert facts.inner_text() == end
    page.evaluate(AXE.read_text())
    assert page.evaluate(AXE_RUN) == []
    # the first one: the task has just begun
    slider(page).fill("1")
    expect(page.locator(".task-bar .pill[data-status=running]")).to_be_visible()
    expect(row(page, "answer")).to_have_count(0)
    # a score is given to what the task is, not to what it was
    expect(page.get_by_role("heading", name="Scores")).to_be_visible()
    expect(page.locator(".score-form")).to_have_count(0)
    # the address holds the position, and brings it back
    expect(page).to_have_url(re.compile(r"at=1\.\d+\.\d+"))
    page.reload()
    expect(bar(page).locator(".time-travel-place")).to_contain_text(f"1 / {count}", timeout=PATIENCE_MS)
    expect(row(page, "answer")).to_have_count(0)

    # forward by keys until the call is there, still open: its output does not exist yet
    while row(page, "answer").count() == 0:
        page.keyboard.press(".")
    row(page, "answer").click()
    expect(page.locator(".detail-head .pill[data-status=running]")).to_be_visible()
    expect(page.get_by_text("How warm is it?").first).to_be_visible(timeout=PATIENCE_MS)
    assert "21 degrees" not in page.locator("#detail").inner_text()
    # an open step lasts until the position
    lasted = row(page, "answer").inner_text()
    expect(page.get_by_text("How warm is it?").first).to_be_visible()
    page.wait_for_function("(began) => performance.now() - began > 2_500", arg=page.evaluate("performance.now()"))
    assert row(page, "answer").inner_text() == lasted
    page.keyboard.press(",")
    expect(row(page, "answer")).to_have_count(0)

    # play to the end
    bar(page).get_by_label("Speed").select_option("64")
    page.keyboard.press(" ")
    expect(bar(page).locator(".time-travel-place")).to_contain_text(f"{count} / {count}", timeout=PATIENCE_MS)
    expect(page.locator(".task-bar .pill[data-status=ok]")).to_be_visible()
    assert facts.inner_text() == end

    bar(page).get_by_role("button", name="Back to now").click()
    expect(bar(page)).to_have_count(0)
    assert "at=" not in page.url


def test_a_running_task_stays_at_the_position_while_its_log_grows(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path) as process:
        page.goto(f"/t/{task_id_of(process)}")
        expect(row(page, "guide")).to_be_visible(timeout=PATIENCE_MS)
        before = open_at_the_end(page)
        slider(page).fill("1") if before > 1 else None
        resume(process)

        expect(slider(page)).not_to_have_attribute("max", str(before), timeout=PATIENCE_MS)
        expect(row(page, "answer")).to_have_count(0)
        page.keyboard.press(".")
        bar(page).get_by_role("button", name="Back to now").click()
        expect(row(page, "answer")).to_be_visible(timeout=PATIENCE_MS)
        resume(process)
        assert process.wait(60) == 0
