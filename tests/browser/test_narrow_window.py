"""The explorer in the window of a phone: pages scroll down, and only tables scroll sideways."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, row, task_id_of
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

PHONE_PX = (390, 844)
TABLET_PX = (768, 1024)
CURRENT_PAGE_IN_VIEW = """() => {
  const link = document.querySelector('.nav-link[aria-current=page]')
  const [inside, room] = [link, link?.parentElement].map((one) => one?.getBoundingClientRect())
  return inside && inside.left >= room.left - 1 && inside.right <= room.right + 1
}"""
TOO_WIDE_PX = "Math.max(0, document.documentElement.scrollWidth - innerWidth)"
LONG_NAME = """
import ams

ams.init()
with ams.task("A name that is far longer than the column of names in a window of this width") as task:
    print(task.task_id, flush=True)
    with ams.step("guide", type="agent") as guide:
        guide.input = "a question " * 20
        guide.output = "an answer " * 20
assert ams.flush(30).complete
"""


def is_within_the_window(found: Locator) -> bool:
    box = found.bounding_box()
    return box is not None and box["x"] >= 0 and box["x"] + box["width"] <= PHONE_PX[0]


def test_no_page_is_wider_than_a_phone(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, LONG_NAME) as process:
        task_id = task_id_of(process)
        assert process.wait(60) == 0
    project = page.url.split("/projects/")[1].split("/")[0]
    page.set_viewport_size({"width": PHONE_PX[0], "height": PHONE_PX[1]})
    headings = {
        "agents": "Agents",
        "keys": "API keys",
        "statistics": "Statistics",
        "sessions": "Sessions",
        "people": "People",
        "audit": "Audit log",
        "settings": "Settings",
        "alerts": "Alerts",
    }

    widths: dict[str, int] = {}
    for name, heading in headings.items():
        page.goto(f"/projects/{project}/{name}")
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible(timeout=PATIENCE_MS)
        if name in {"agents", "keys"}:
            expect(page.get_by_role("table")).to_be_visible(timeout=PATIENCE_MS)
        if name == "keys":
            assert is_within_the_window(page.get_by_role("button", name="Delete the key").first)
        if name != "audit":
            page.wait_for_function(CURRENT_PAGE_IN_VIEW, timeout=PATIENCE_MS)
        widths[name] = page.evaluate(TOO_WIDE_PX)
    page.goto(f"/projects/{project}/tasks/{task_id}")
    expect(row(page, "guide")).to_be_visible(timeout=PATIENCE_MS)
    widths["task"] = page.evaluate(TOO_WIDE_PX)

    page.set_viewport_size({"width": TABLET_PX[0], "height": TABLET_PX[1]})
    widths["task in a wider window"] = page.evaluate(TOO_WIDE_PX)

    assert set(widths.values()) == {0}, widths


def test_a_long_name_does_not_cover_the_duration(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, LONG_NAME) as process:
        page.goto(f"/t/{task_id_of(process)}")
        assert process.wait(60) == 0
    first = page.locator("[role=treegrid] .step-row").first
    expect(row(page, "guide")).to_be_visible(timeout=PATIENCE_MS)
    for width in (PHONE_PX[0], 1440):
        page.set_viewport_size({"width": width, "height": 900})
        name, spent = first.locator(".step-name"), first.locator(".step-duration")
        boxes = name.bounding_box(), spent.bounding_box()
        assert boxes[0] is not None
        assert boxes[1] is not None
        assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"], width
