"""The explorer in the window of a phone: pages scroll down, and only tables scroll sideways."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, row, task_id_of
from tests.browser.test_explorer import AXE, AXE_RUN
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
SIDEWAYS = "[...document.querySelectorAll('table')].filter((one) => one.scrollWidth > one.parentElement.clientWidth).length"
SESSION = """
import ams

ams.init()
with ams.task("Support", conversation_id="conversation-7f3a-with-a-long-identifier", user_id="ada@example.org"):
    with ams.llm("ask", model="a-model-of-our-own-with-a-long-name", input="When does my parcel arrive, which I sent to my aunt?") as step:
        step.usage(input=1_000_000, output=20_000)
        step.output = "Tomorrow."
assert ams.flush(30).complete
"""
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


def faults_on_a_phone(page: Page) -> list[object]:
    """What axe finds in the window of a phone, and by how many pixels the page is wider than it."""
    before = page.viewport_size
    assert before is not None
    page.set_viewport_size({"width": PHONE_PX[0], "height": PHONE_PX[1]})
    page.evaluate(AXE.read_text())
    found = [*page.evaluate(AXE_RUN), *filter(None, [page.evaluate(TOO_WIDE_PX)])]
    page.set_viewport_size(before)
    return found


def test_tables_of_many_figures_are_blocks_of_facts(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, SESSION) as process:
        assert process.wait(60) == 0
    project = page.url.split("/projects/")[1].split("/")[0]
    page.set_viewport_size({"width": PHONE_PX[0], "height": PHONE_PX[1]})
    shown = {
        "sessions": ["conversation-7f3a-with-a-long-identifier", "ada@example.org"],
        "models": ["a-model-of-our-own-with-a-long-name", "1M"],
    }

    for name, texts in shown.items():
        page.goto(f"/projects/{project}/{name}")
        for text in texts:
            found = page.get_by_role("table").get_by_text(text, exact=True)
            expect(found).to_be_visible(timeout=PATIENCE_MS)
            assert is_within_the_window(found), text
        assert page.evaluate(SIDEWAYS) == 0, name
        assert faults_on_a_phone(page) == [], name
    assert is_within_the_window(page.get_by_role("button", name="Own price of a-model-of-our-own-with-a-long-name"))


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
