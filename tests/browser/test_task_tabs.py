"""The views of a task beside its steps, in a real browser: what they show of a task that runs, by pointer and by keyboard."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, resume, task_id_of
from tests.browser.test_explorer import AXE, AXE_RUN
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

LOSSY = """
import ams

ams.init(announce=False, waiting_items_max=200)
with ams.task("lossy loop") as task:
    print(task.task_id, flush=True)
    for _ in range(20_000):
        with ams.step("s"):
            pass
ams.flush(60)
"""


def open_tab(page: Page, task_id: str, label: str) -> None:
    page.goto(f"/t/{task_id}")
    tab = page.get_by_role("navigation", name="Views of this task").get_by_role("link", name=label)
    tab.click(timeout=PATIENCE_MS)
    expect(tab).to_have_attribute("aria-current", "page")


def assert_accessible(page: Page) -> None:
    """No violation in either theme."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
        page.evaluate(AXE.read_text())
        assert page.evaluate(AXE_RUN) == [], scheme


def test_the_delivery_of_a_task_is_complete_while_it_runs_and_after(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path) as process:
        open_tab(page, task_id_of(process), "Delivery")
        verdict = page.locator(".delivery-verdict")
        expect(verdict).to_contain_text("Complete so far: all", timeout=PATIENCE_MS)
        resume(process)
        resume(process)
        assert process.wait(60) == 0

    expect(verdict).to_contain_text("Complete: all", timeout=PATIENCE_MS)
    producer = page.get_by_role("region", name="Producer")
    expect(producer).to_contain_text("ams-python")
    expect(producer.get_by_role("img", name="none missing")).to_be_visible()
    expect(page.get_by_text("all inputs and outputs", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    assert_accessible(page)


def test_events_that_an_sdk_dropped_are_shown_with_the_reason(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, LOSSY) as process:
        task_id = task_id_of(process)
        assert process.wait(120) == 0

    open_tab(page, task_id, "Delivery")

    expect(page.locator(".delivery-verdict")).to_contain_text("dropped by the producer", timeout=PATIENCE_MS)
    expect(page.get_by_text("because the queue in memory was full")).to_be_visible()
    assert_accessible(page)
