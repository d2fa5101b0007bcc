"""What is printed: all rows, not those of a screen, and no controls. And what is drawn where motion is reduced."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, row, task_id_of
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

STEPS = 120
MANY_STEPS = f"""
import ams

ams.init()
with ams.task("A long report") as task:
    print(task.task_id, flush=True)
    for number in range({STEPS}):
        with ams.step(f"page {{number}}", type="tool") as step:
            step.output = f"text of page {{number}}"
assert ams.flush(30).complete
"""
CONTROLS = """() => [...document.querySelectorAll('input, select, textarea, .button, [role=tab]')]
    .filter((one) => one.checkVisibility()).map((one) => one.outerHTML)"""
# whether the minimap has pixels in the colour of tools, which nothing else in it has
HAS_TOOLS = """() => {
    const canvas = document.querySelector('.step-minimap canvas');
    const probe = document.body.appendChild(document.createElement('i'));
    probe.style.cssText = 'transition: none; color: var(--tool)';
    const wanted = getComputedStyle(probe).color.match(/[0-9.]+/g).map(Number);
    probe.remove();
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length; at += 4)
        if (data[at + 3] > 200 && wanted.every((value, index) => Math.abs(value - data[at + index]) < 4)) return true;
    return false;
}"""


@pytest.fixture
def task_id(page: Page, platform: Platform, tmp_path: Path) -> str:
    with agent(platform, make_key(page), tmp_path, MANY_STEPS) as process:
        task_id = task_id_of(process)
        assert process.wait(60) == 0
    return task_id


def test_a_task_is_printed_with_all_its_steps_and_without_controls(page: Page, task_id: str) -> None:
    project = page.url.split("/projects/")[1].split("/")[0]
    page.goto(f"/projects/{project}/tasks/{task_id}")
    expect(page.get_by_text("A long report").first).to_be_visible(timeout=PATIENCE_MS)
    expect(row(page, "page 1")).to_be_visible(timeout=PATIENCE_MS)
    expect(row(page, f"page {STEPS - 1}")).to_have_count(0)

    page.emulate_media(media="print")
    rows = page.locator("[role=treegrid] .step-row")
    expect(rows).to_have_count(STEPS + 1)
    places = [box["y"] for box in (one.bounding_box() for one in rows.all()) if box is not None and box["height"] > 0]
    assert len(set(places)) == STEPS + 1
    assert page.evaluate(CONTROLS) == []
    below = page.get_by_role("heading", name="Task", exact=True).bounding_box()
    assert below is not None
    assert below["y"] > max(places)

    page.emulate_media(media="screen")
    expect(row(page, f"page {STEPS - 1}")).to_have_count(0)


def test_the_list_of_tasks_is_printed(page: Page, task_id: str) -> None:
    expect(page.get_by_role("link", name="A long report")).to_be_visible(timeout=PATIENCE_MS)
    page.emulate_media(media="print")
    link = page.locator(f".task-row a[href$='{task_id}']").first
    expect(link).to_be_visible()
    box = link.bounding_box()
    assert box is not None
    assert box["height"] > 0
    assert page.locator(".task-grid").evaluate("(grid) => grid.clientHeight") > box["height"]


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_the_minimap_has_the_colours_of_steps(page: Page, task_id: str, motion: Literal["no-preference", "reduce"]) -> None:
    project = page.url.split("/projects/")[1].split("/")[0]
    page.emulate_media(reduced_motion=motion)
    page.goto(f"/projects/{project}/tasks/{task_id}")
    expect(row(page, "page 1")).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_function(HAS_TOOLS, timeout=PATIENCE_MS)
