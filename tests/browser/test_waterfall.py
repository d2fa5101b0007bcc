"""The waterfall: where a step continues beyond the visible range, and the time at the pointer."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, row, task_id_of
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

SENDER = """
import time

import ams

ams.init()
with ams.task("times") as task:
    print(task.task_id, flush=True)
    with ams.step("outer", type="agent"):
        time.sleep(0.2)
        with ams.step("inner", type="tool"):
            time.sleep(0.1)
        time.sleep(0.2)
assert ams.flush(30).complete
"""


def test_a_zoomed_waterfall_shows_what_continues_and_the_time_at_the_pointer(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, SENDER) as process:
        task = task_id_of(process)
        assert process.wait(60) == 0
    page.goto(f"/t/{task}")
    row(page, "inner").click(timeout=PATIENCE_MS)
    arrows = page.locator(".lane-beyond i")
    expect(arrows).to_have_count(0)

    page.keyboard.press("z")

    outer = page.locator(".lane-beyond i[data-type=agent]")
    expect(outer).to_have_count(2)
    expect(page.locator(".lane-beyond i[data-type=tool]")).to_have_count(0)
    box = page.locator(".step-lanes").bounding_box()
    line = row(page, "inner").bounding_box()
    assert box is not None
    assert line is not None
    page.mouse.move(box["x"] + box["width"] / 4, line["y"] + line["height"] / 2)
    expect(page.locator(".lane-hair span")).to_contain_text("inner · starts +")
    page.mouse.move(box["x"] - 200, line["y"] + line["height"] / 2)
    expect(page.locator(".lane-hair")).to_be_hidden()
    page.keyboard.press("0")
    expect(arrows).to_have_count(0)
