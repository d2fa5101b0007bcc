"""Export of a task and of a selection, and import of the file by dropping it, in a real browser."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key
from tests.browser.test_explorer import AXE, AXE_RUN
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

SENDER = """
import sys

import ams

ams.init()

for name in ("alpha", "beta"):
    with ams.task(name):
        with ams.llm("answer", input=[{"role": "user", "content": "How warm is it?"}]) as step:
            step.output = f"21 degrees, says {name}"
            step.usage(input=10, output=5)
assert ams.flush(30).complete
sys.stdin.readline()
"""
DROP = """([name, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name));
    for (const kind of ['dragenter', 'dragover', 'drop'])
        window.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def two_tasks(page: Page, platform: Platform, tmp_path: Path) -> Page:
    """The list of a project with two tasks."""
    with agent(platform, make_key(page), tmp_path, SENDER):
        expect(page.locator(".task-row")).to_have_count(2, timeout=PATIENCE_MS)
    return page


def export(page: Page, folder: Path, name: str = "file.jsonl") -> Path:
    """Press Export in the open dialog; the file."""
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("button", name="Export").click()
    path = folder / name
    download.value.save_as(path)
    expect(page.get_by_role("dialog")).to_have_count(0)
    return path


def new_project(page: Page) -> None:
    """Another, empty project is open."""
    page.get_by_role("button", name="Switch project").click()
    page.get_by_role("button", name="New project").click()
    page.get_by_label("Name of the new project").fill("target")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Send your first task")).to_be_visible(timeout=PATIENCE_MS)


def test_a_task_goes_into_a_file_and_from_the_file_into_another_project(two_tasks: Page, tmp_path: Path) -> None:
    page = two_tasks
    page.get_by_role("link", name="alpha").click()
    expect(page.get_by_role("heading", name="alpha")).to_be_visible(timeout=PATIENCE_MS)
    tokens = page.locator(".task-facts").inner_text()
    page.get_by_role("button", name="Task actions").click()
    page.get_by_role("button", name="Export…").click()
    expect(page.get_by_role("radio", name="AMS archive")).to_be_checked()
    page.evaluate(AXE.read_text())
    assert page.evaluate(AXE_RUN) == []
    file = export(page, tmp_path)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert (lines[0]["kind"], lines[-1]["kind"], lines[-1]["tasks"]) == ("ams.archive", "end", 1)

    new_project(page)
    page.evaluate(DROP, ["alpha.ams.jsonl", file.read_text()])
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("alpha.ams.jsonl")
    assert page.evaluate(AXE_RUN) == []
    dialog.get_by_role("button", name="Import").click()
    expect(dialog.get_by_text("Imported 1 task")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".task-row")).to_have_count(1, timeout=PATIENCE_MS)  # the dialog stays when the page behind it fills
    dialog.get_by_role("link", name="Open").click()

    expect(page.get_by_role("heading", name="alpha")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".task-facts")).to_have_text(tokens.replace("\n", ""), timeout=PATIENCE_MS)
    page.get_by_role("row", name="answer").click()
    expect(page.get_by_text("21 degrees, says alpha").first).to_be_visible(timeout=PATIENCE_MS)


def test_selected_tasks_are_exported_into_one_file_of_each_format(two_tasks: Page, tmp_path: Path) -> None:
    page = two_tasks
    for name in ("alpha", "beta"):
        page.locator(".task-row").filter(has_text=name).hover()
        page.get_by_label(f"Select {name}").check()
    for label, mark in (("JSON Lines", '"kind":"step"'), ("OpenTelemetry (OTLP)", '"resourceSpans"')):
        page.get_by_role("button", name="Export…").click()
        page.get_by_role("radio", name=label).check()
        page.get_by_role("checkbox", name="Include inputs").uncheck()
        text = export(page, tmp_path).read_text()
        assert mark in text
        assert "alpha" in text or label != "JSON Lines"
        assert '"text":"21 degrees' not in text


def test_a_wrong_file_says_what_is_wrong_in_which_line(two_tasks: Page) -> None:
    page = two_tasks

    page.evaluate(DROP, ["notes.jsonl", '{"kind":"step","step":{}}\n\nnot json\n'])
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Import").click()

    expect(dialog.get_by_text("Nothing was imported.")).to_be_visible(timeout=PATIENCE_MS)
    faults = dialog.get_by_role("alert")
    expect(faults.get_by_role("listitem")).to_have_count(2)
    expect(faults).to_contain_text("Line 1 This is the format jsonl, which cannot be imported. Export the task as ams.")
    expect(faults).to_contain_text("Line 3")
