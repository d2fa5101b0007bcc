"""The tasks page: time ranges, chart, filters with counts, orders, columns, views, pause and selection."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key
from tests.browser.test_explorer import AXE, AXE_RUN
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

# every line on stdin is a task to send: its name, tier and number of steps, and whether it fails
SENDER = """
import json
import sys

import ams

ams.init()

for line in sys.stdin:
    name, tier, steps, fails = json.loads(line)
    try:
        with ams.task(name, tags={"tier": tier}):
            for _ in range(steps):
                with ams.step("work", type="tool"):
                    pass
            if fails:
                raise LookupError("no such thing")
    except LookupError:
        pass
    assert ams.flush(30).complete
    print("sent", flush=True)
"""


@pytest.fixture
def sender(page: Page, platform: Platform, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """An agent that sends the tasks of ``send``; three tasks are in the list."""
    with agent(platform, make_key(page), tmp_path, SENDER) as process:
        for task in (("alpha", "gold", 3, False), ("beta", "free", 9, True), ("gamma", "gold", 1, False)):
            send(process, *task)
        expect(page.locator(".task-row")).to_have_count(3, timeout=PATIENCE_MS)
        yield process


def send(process: subprocess.Popen[str], name: str, tier: str, steps: int, fails: bool = False) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([name, tier, steps, fails]) + "\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() == "sent"


def names(page: Page) -> list[str]:
    return page.locator(".task-row .task-name a").all_inner_texts()


def expect_names(page: Page, *wanted: str) -> None:
    expect(page.locator(".task-row .task-name a")).to_have_text(list(wanted), timeout=PATIENCE_MS)


@pytest.mark.usefixtures("sender")
def test_a_press_on_a_column_sorts_by_it_and_the_address_keeps_the_order(page: Page) -> None:
    page.get_by_role("button", name="Steps").click()
    expect_names(page, "beta", "alpha", "gamma")
    expect(page.get_by_role("columnheader", name="Steps")).to_have_attribute("aria-sort", "descending")

    page.get_by_role("button", name="Steps").click()
    expect_names(page, "gamma", "alpha", "beta")
    page.reload()
    expect_names(page, "gamma", "alpha", "beta")
    page.get_by_role("columnheader", name="Name").get_by_role("button").click()
    expect_names(page, "alpha", "beta", "gamma")


@pytest.mark.usefixtures("sender")
def test_filters_count_their_values_and_a_click_filters_or_excludes(page: Page) -> None:
    page.get_by_role("button", name="Filters").click()
    panel = page.get_by_role("complementary", name="Filters")
    expect(panel.get_by_role("button", name="gold 2")).to_be_visible(timeout=PATIENCE_MS)

    panel.get_by_role("button", name="gold 2").click()
    expect_names(page, "gamma", "alpha")
    expect(panel.get_by_role("button", name="free 1")).to_have_count(0, timeout=PATIENCE_MS)
    panel.get_by_role("button", name="gold 2").click()
    expect_names(page, "gamma", "beta", "alpha")

    panel.locator(".facet-value").filter(has_text="gold").hover()
    panel.get_by_role("button", name="Exclude tier gold").click()
    expect_names(page, "beta")
    expect(page.get_by_label("Search tasks")).to_have_value("-tag.tier:gold")


@pytest.mark.usefixtures("sender")
def test_a_value_in_a_row_filters(page: Page) -> None:
    page.locator(".task-row").nth(1).get_by_role("button", name="tier:free").click()
    expect_names(page, "beta")
    expect(page.get_by_label("Search tasks")).to_have_value("tag.tier:free")


@pytest.mark.usefixtures("sender")
def test_views_and_time_ranges_are_one_click(page: Page) -> None:
    views = page.get_by_role("navigation", name="Views")
    views.get_by_role("button", name="Failed").click()
    expect_names(page, "beta")
    views.get_by_role("button", name="All").click()
    expect_names(page, "gamma", "beta", "alpha")

    page.get_by_role("button", name="Time range").click()
    page.get_by_role("button", name="Last 15 minutes").click()
    expect(page.get_by_role("button", name="Time range")).to_contain_text("Last 15 minutes")
    expect_names(page, "gamma", "beta", "alpha")
    page.get_by_role("button", name="Time range").click()
    page.get_by_label("To", exact=True).fill("2020-01-02T00:00")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="No tasks found")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Show all tasks").click()
    expect_names(page, "gamma", "beta", "alpha")


@pytest.mark.usefixtures("sender")
def test_dragging_over_the_chart_selects_a_time_range(page: Page) -> None:
    chart = page.get_by_role("img", name=re.compile("3 tasks, 1 failed"))
    expect(chart).to_be_visible(timeout=PATIENCE_MS)
    box = chart.bounding_box()
    assert box is not None

    page.mouse.move(box["x"] + 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20, steps=4)
    page.mouse.up()

    expect(page).to_have_url(re.compile("from=.*to="))
    expect_names(page, "gamma", "beta", "alpha")
    expect(page.get_by_role("button", name="Time range")).to_contain_text(" to ")


def test_a_filtered_and_sorted_list_is_live(page: Page, sender: subprocess.Popen[str]) -> None:
    page.get_by_role("button", name="Steps").click()
    page.get_by_label("Search tasks").fill("tag.tier:gold")
    expect_names(page, "alpha", "gamma")

    send(sender, "delta", "gold", 2)
    send(sender, "epsilon", "free", 4)

    expect_names(page, "alpha", "delta", "gamma")


def test_a_paused_list_counts_what_is_new(page: Page, sender: subprocess.Popen[str]) -> None:
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused, 0 new")).to_be_visible()

    send(sender, "delta", "gold", 2)

    expect(page.get_by_text("paused, 1 new")).to_be_visible(timeout=PATIENCE_MS)
    assert names(page) == ["gamma", "beta", "alpha"]
    page.get_by_text("paused, 1 new").click()
    page.get_by_label("Search tasks").hover()
    expect_names(page, "delta", "gamma", "beta", "alpha")


@pytest.mark.usefixtures("sender")
def test_columns_are_chosen_resized_and_kept(page: Page) -> None:
    page.get_by_role("button", name="Columns and rows").click()
    menu = page.locator(".menu-list")
    menu.get_by_role("button", name="Kind").click()
    menu.get_by_role("button", name="Tokens").click()
    menu.get_by_role("button", name="Compact rows").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("columnheader", name="Kind")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Tokens")).to_have_count(0)
    assert page.locator(".task-row").first.evaluate("row => row.offsetHeight") == 28

    head = page.get_by_role("columnheader", name="Agent")
    before = head.bounding_box()
    edge = head.locator(".head-edge").bounding_box()
    assert before is not None
    assert edge is not None
    page.mouse.move(edge["x"] + 4, edge["y"] + 8)
    page.mouse.down()
    page.mouse.move(edge["x"] - 56, edge["y"] + 8, steps=3)
    page.mouse.up()
    page.reload()

    after = page.get_by_role("columnheader", name="Agent").bounding_box()
    assert after is not None
    assert after["width"] == pytest.approx(before["width"] + 60, abs=2)
    expect(page.get_by_role("columnheader", name="Kind")).to_be_visible(timeout=PATIENCE_MS)


@pytest.mark.usefixtures("sender")
def test_a_view_is_saved_opened_and_deleted(page: Page) -> None:
    page.get_by_role("navigation", name="Views").get_by_role("button", name="Failed").click()
    page.get_by_role("button", name="Steps").click()
    expect_names(page, "beta")
    page.get_by_role("button", name="Saved views").click()
    page.get_by_label("Save this view as").fill("My failures")
    page.get_by_role("button", name="Save view").click()
    expect(page.get_by_label("Save this view as")).to_have_count(0, timeout=PATIENCE_MS)
    page.get_by_role("link", name="Tasks", exact=True).click()
    expect_names(page, "gamma", "beta", "alpha")

    page.reload()
    page.get_by_role("button", name="Saved views").click()
    page.get_by_role("button", name="My failures", exact=True).click()
    expect_names(page, "beta")
    expect(page.get_by_label("Search tasks")).to_have_value("status:error")
    expect(page.get_by_role("columnheader", name="Steps")).to_have_attribute("aria-sort", "descending")

    page.get_by_role("button", name="Saved views").click()
    page.get_by_role("button", name="Delete view My failures").click()
    expect(page.get_by_text("No saved views yet")).to_be_visible(timeout=PATIENCE_MS)


@pytest.mark.usefixtures("sender")
def test_two_selected_tasks_can_be_compared(page: Page) -> None:
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")

    bar = page.get_by_role("region", name="Selected tasks")
    expect(bar).to_contain_text("2 selected")
    expect(bar.get_by_role("link", name="Compare")).to_have_attribute(
        "href", re.compile(r"/compare\?left=[0-9a-f]{32}&right=[0-9a-f]{32}$")
    )
    bar.get_by_role("button", name="Clear").click()
    expect(bar).to_have_count(0)


@pytest.mark.usefixtures("sender")
def test_selected_tasks_are_labelled_and_found_by_the_label(page: Page) -> None:
    for _ in range(2):
        page.keyboard.press("j")
        page.keyboard.press("x")
    page.get_by_role("region", name="Selected tasks").get_by_role("button", name="Label…").click()
    dialog = page.get_by_role("dialog", name="Label 2 tasks")
    dialog.get_by_label("Name", exact=True).fill("dataset")
    dialog.get_by_role("button", name="Add label").click()
    expect(dialog.get_by_role("alert")).to_have_text("Enter a label.")
    dialog.get_by_label("Label", exact=True).fill("regression")
    dialog.get_by_role("button", name="Add label").click()
    expect(page.get_by_text("2 tasks labelled dataset: regression")).to_be_visible(timeout=PATIENCE_MS)

    page.get_by_label("Search tasks").fill("score.dataset:regression")
    expect_names(page, "gamma", "beta")
    page.get_by_label("Search tasks").fill("-score.dataset:*")
    expect_names(page, "alpha")


@pytest.mark.usefixtures("sender")
def test_selected_tasks_are_deleted_after_a_confirmation(page: Page) -> None:
    for _ in range(2):
        page.keyboard.press("j")
        page.keyboard.press("x")
    page.get_by_role("region", name="Selected tasks").get_by_role("button", name="Delete…").click()
    dialog = page.get_by_role("dialog", name="Delete 2 tasks?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator(".task-row")).to_have_count(3)

    page.get_by_role("region", name="Selected tasks").get_by_role("button", name="Delete…").click()
    dialog.get_by_role("button", name="Delete").click()

    expect_names(page, "alpha")
    expect(page.get_by_role("region", name="Selected tasks")).to_have_count(0)


@pytest.mark.usefixtures("sender")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tasks_page_with_everything_open_has_no_accessibility_violation(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    page.get_by_role("button", name="Filters").click()
    expect(page.get_by_role("complementary", name="Filters").get_by_role("button", name="gold 2")).to_be_visible(timeout=PATIENCE_MS)
    page.keyboard.press("j")
    page.keyboard.press("x")

    page.evaluate(AXE.read_text())
    assert page.evaluate(AXE_RUN) == []
