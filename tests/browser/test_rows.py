"""Lists that stay where they are while a person reads, points and types."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

# every line on stdin is the name of a task to send
SENDER = """
import sys

import ams

ams.init()

for line in sys.stdin:
    with ams.task(line.strip()):
        with ams.step("work", type="tool"):
            pass
    assert ams.flush(30).complete
"""


@pytest.fixture
def sender(page: Page, platform: Platform, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """An agent that sends a task for each line; two tasks are in the list."""
    with agent(platform, make_key(page), tmp_path, SENDER) as process:
        for name in ("first task", "second task"):
            send(process, name)
            expect(page.get_by_role("link", name=name)).to_be_visible(timeout=PATIENCE_MS)
        yield process


def send(process: subprocess.Popen[str], name: str) -> None:
    assert process.stdin is not None
    process.stdin.write(name + "\n")
    process.stdin.flush()


def names(page: Page) -> list[str]:
    return page.locator(".task-row .task-name a").all_inner_texts()


def test_rows_do_not_move_under_the_pointer(page: Page, sender: subprocess.Popen[str]) -> None:
    page.locator(".task-row").nth(0).hover()

    send(sender, "third task")

    pill = page.get_by_role("button", name="1 new")
    expect(pill).to_be_visible(timeout=PATIENCE_MS)
    assert names(page) == ["second task", "first task"]
    page.get_by_label("Search tasks").hover()
    expect(page.get_by_role("link", name="third task")).to_be_visible(timeout=PATIENCE_MS)
    assert names(page) == ["third task", "second task", "first task"]


def test_the_pill_of_new_tasks_can_be_pressed(page: Page, sender: subprocess.Popen[str]) -> None:
    page.locator(".task-row").nth(1).hover()
    send(sender, "third task")

    page.get_by_role("button", name="1 new").click(timeout=PATIENCE_MS)

    expect(page.get_by_role("link", name="third task")).to_be_visible(timeout=PATIENCE_MS)
    assert page.url.endswith("/tasks")


def test_the_selection_is_a_task_not_a_place(page: Page, sender: subprocess.Popen[str]) -> None:
    page.keyboard.press("j")
    expect(page.locator(".task-row[aria-selected=true]")).to_contain_text("second task")

    send(sender, "third task")
    expect(page.get_by_role("link", name="third task")).to_be_visible(timeout=PATIENCE_MS)

    expect(page.locator(".task-row[aria-selected=true]")).to_contain_text("second task")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="second task")).to_be_visible(timeout=PATIENCE_MS)


@pytest.mark.usefixtures("sender")
def test_typing_a_query_keeps_the_rows_and_half_a_word_is_no_mistake(page: Page) -> None:
    query = page.get_by_label("Search tasks")
    with page.expect_response(lambda response: "q=stauts" in response.url and response.status == 400):
        query.press_sequentially("stauts:ok")

    expect(page.get_by_role("alert")).to_have_count(0)
    assert names(page) == ["second task", "first task"]
    query.press("Enter")
    page.get_by_role("alert").get_by_role("button", name="status:").click(timeout=PATIENCE_MS)
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(query).to_have_value("status:ok")
    expect(page.get_by_role("link", name="first task")).to_be_visible(timeout=PATIENCE_MS)


def test_an_unknown_task_is_not_found_at_once(page: Page) -> None:
    page.goto(page.url + "/" + "ab" * 16)

    expect(page.get_by_role("heading", name="Task not found")).to_be_visible(timeout=3_000)


def test_the_project_menu_shows_all_projects(page: Page) -> None:
    for number in range(4):
        page.get_by_role("button", name="Switch project").click()
        page.get_by_role("button", name="New project").click()
        page.get_by_label("Name of the new project").fill(f"Project {number}")
        page.get_by_role("button", name="Create", exact=True).click()
        expect(page.get_by_role("button", name="Switch project")).to_contain_text(f"Project {number}", timeout=PATIENCE_MS)

    page.get_by_role("button", name="Switch project").click()

    menu = page.locator(".menu-list").bounding_box()
    assert menu is not None
    for item in page.locator(".menu-list a").all():
        box = item.bounding_box()
        assert box is not None
        assert menu["y"] <= box["y"]
        assert box["y"] + box["height"] <= menu["y"] + menu["height"]
    assert page.locator(".menu-list a").count() == 5
