"""The views of a task beside its steps, in a real browser: what they show of a task that runs, by pointer and by keyboard."""

import json
import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from tests import reference
from tests.browser.journeys import AGENT, PATIENCE_MS, agent, make_key, resume, row, task_id_of
from tests.browser.test_explorer import AXE, AXE_RUN
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

GRAPHS = reference.TRACES / "graphs.json"
TIMES = "\u00d7"
SETTLED = """new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
  const passing = document.getAnimations().filter((one) => one.effect.getComputedTiming().iterations !== Infinity);
  Promise.allSettled(passing.map((one) => one.finished)).then(() => done(null));
})))"""
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
        page.evaluate(SETTLED)  # colours in transition have no contrast yet
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


def node(page: Page, name: str) -> Locator:
    """A node of the graph by its type and name: ``tool lookup``."""
    return page.locator(".graph-node").and_(
        page.get_by_role("button", name=re.compile(rf"^{re.escape(name)} (running |error )?\d+{TIMES}"))
    )


def test_the_graph_grows_with_the_task_and_filters_its_steps(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path) as process:
        open_tab(page, task_id_of(process), "Graph")
        expect(node(page, "agent guide")).to_contain_text(f"1{TIMES}", timeout=PATIENCE_MS)
        expect(node(page, "agent guide")).to_have_accessible_name(re.compile("running"))
        expect(node(page, "tool lookup")).to_have_count(0)
        resume(process)
        expect(node(page, "tool lookup")).to_contain_text(f"2{TIMES}", timeout=PATIENCE_MS)
        resume(process)
        assert process.wait(60) == 0

    expect(node(page, "agent guide")).not_to_have_accessible_name(re.compile("running"), timeout=PATIENCE_MS)
    expect(node(page, "tool lookup")).to_have_accessible_name(re.compile(f" error 2{TIMES} .* 1 error$"))
    expect(page.get_by_role("button", name=f"guide calls lookup 2{TIMES}")).to_be_visible()
    node(page, "tool lookup").click()
    expect(page.get_by_role("status").filter(has_text="2 of 5 steps")).to_be_visible()
    expect(node(page, "tool lookup")).to_have_attribute("aria-pressed", "true")
    expect(row(page, "answer")).to_have_count(0)
    assert_accessible(page)

    node(page, "tool lookup").focus()
    page.keyboard.press("Enter")
    expect(row(page, "answer")).to_be_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("find="))
    # in the window of a phone it goes down, and is as wide as the window
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    expect(node(page, "tool lookup")).to_be_visible(timeout=PATIENCE_MS)
    hidden = page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('.graph-scroll'))")
    assert hidden <= 1


def test_the_graph_of_a_recorded_trace_is_that_of_its_ledger(page: Page, platform: Platform) -> None:
    expected = next(one for one in json.loads(GRAPHS.read_text()) if one["trace"] == "otel_strands_multi")
    key = make_key(page)
    body = reference.as_json("otel_strands_multi")
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    httpx.post(f"{platform.url}/v1/traces", content=body, headers=headers).raise_for_status()
    page.get_by_role("link", name="orchestrator").last.click(timeout=PATIENCE_MS)
    page.get_by_role("link", name="Graph").click()

    expect(page.locator(".graph-node")).to_have_count(len(expected["nodes"]), timeout=PATIENCE_MS)

    for name, (calls, _, _) in expected["nodes"].items():
        expect(node(page, name.replace(":", " ", 1))).to_contain_text(f"{calls}{TIMES}")
    expect(page.locator(".graph-label")).to_have_count(len(expected["edges"]))
    page.set_viewport_size({"width": 390, "height": 844})
    expect(node(page, "agent orchestrator")).to_be_in_viewport()
    assert_accessible(page)


def test_the_activity_shows_the_moment_under_the_hairline_and_a_brush_zooms_the_steps(
    page: Page, platform: Platform, tmp_path: Path
) -> None:
    with agent(platform, make_key(page), tmp_path) as process:
        open_tab(page, task_id_of(process), "Activity")
        names = page.get_by_role("region", name="Activity").get_by_role("listitem")
        expect(names.filter(has_text="guide")).to_be_visible(timeout=PATIENCE_MS)
        resume(process)
        resume(process)
        assert process.wait(60) == 0

    expect(page.get_by_role("img", name="1 moment with errors")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".task-bar .pill")).to_contain_text("ok", timeout=PATIENCE_MS)
    clock = page.get_by_role("slider", name="Time")
    clock.hover(position={"x": 200, "y": 30})
    expect(page.locator(".activity-readout")).to_contain_text(re.compile(r"\+.* open .* tokens"))
    assert_accessible(page)

    box = clock.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 40, steps=4)
    page.mouse.up()
    expect(page.get_by_role("button", name="Full range")).to_be_visible()
    clock.dblclick(position={"x": 200, "y": 100})
    expect(page.get_by_role("button", name="Full range")).to_have_count(0)

    clock.focus()
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Full range")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    expect(clock).to_be_in_viewport()
    assert_accessible(page)


def test_a_running_task_is_compared_with_a_finished_one(page: Page, platform: Platform, tmp_path: Path) -> None:
    changed = AGENT.replace('lookup("Paris")\n', 'lookup("Paris")\n            lookup("Paris")\n').replace(
        'output = "It is **21** degrees"', 'output = "It is **19** degrees"'
    )
    key = make_key(page)
    with agent(platform, key, tmp_path) as process:
        first = task_id_of(process)
        resume(process)
        resume(process)
        assert process.wait(60) == 0
    page.goto(f"/t/{first}")
    expect(row(page, "answer")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Task actions").click()
    page.get_by_role("button", name="Mark for comparison").click()

    with agent(platform, key, tmp_path, changed) as process:
        page.goto(f"/t/{task_id_of(process)}")
        expect(row(page, "guide")).to_be_visible(timeout=PATIENCE_MS)
        page.get_by_role("button", name="Task actions").click()
        page.get_by_role("button", name="Compare with Weather report").click()
        lines = page.locator(".compare-grid [role=row]")
        expect(lines.filter(has_text="answer")).to_contain_text("only left", timeout=PATIENCE_MS)
        resume(process)
        resume(process)
        assert process.wait(60) == 0

    expect(page.get_by_role("status").filter(has_text="5 pairs, 0 only left, 1 only right")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="First divergence").click()
    expect(page.locator("[role=row][aria-selected=true]")).to_contain_text("only right")
    page.locator(".compare-grid").focus()
    page.keyboard.press("j")
    expect(page.locator("[role=row][aria-selected=true]")).to_contain_text("answer")
    output = page.get_by_role("region", name="Output")
    expect(output.locator("ins")).to_contain_text("19", timeout=PATIENCE_MS)
    expect(output.locator("del")).to_contain_text("21")
    assert_accessible(page)
    page.get_by_role("button", name="Only differences").click()
    expect(lines.filter(has_text="answer")).to_have_count(0)
    page.set_viewport_size({"width": 390, "height": 844})
    assert_accessible(page)


def test_two_steps_of_one_task_are_compared(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path) as process:
        task_id = task_id_of(process)
        resume(process)
        resume(process)
        assert process.wait(60) == 0
    page.goto(f"/t/{task_id}")
    row(page, "lookup").first.click(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Task actions").click()
    page.get_by_role("button", name="Mark step for comparison").click()
    row(page, "lookup").last.click()
    page.get_by_role("button", name="Task actions").click()
    page.get_by_role("button", name="Compare step with a step of Weather report").click()

    text = page.get_by_role("region", name="Input")
    expect(text.locator("del")).to_contain_text("Atlantis", timeout=PATIENCE_MS)
    expect(text.locator("ins")).to_contain_text("Paris")
    assert_accessible(page)
