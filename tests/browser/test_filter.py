"""The filter of a task's steps finds what is in their inputs, outputs and errors, and marks it."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, resume, row, task_id_of
from tests.installation import Platform, until

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

SENDER = """
import ams

ams.init()
with ams.task("orders") as task:
    print(task.task_id, flush=True)
    with ams.step("first", type="tool", input={"question": "x" * 600 + " where is my Refund?"}):
        pass
    with ams.step("second", type="tool") as step:
        step.output = "nothing here"
    with ams.step("third", type="llm") as step:
        step.output = "line\\n\\n" * 60 + "The refund **was** sent."
    try:
        with ams.step("fourth", type="tool"):
            raise ValueError("cannot refund twice")
    except ValueError:
        pass
    input()
    with ams.step("fifth", type="tool", input="another refund"):
        pass
    input()
assert ams.flush(30).complete
"""
MARKS = "(name) => [...(CSS.highlights.get(name) ?? [])].map(String)"


def test_the_filter_finds_contents_marks_them_and_follows_a_running_task(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, SENDER) as process:
        task = task_id_of(process)
        page.goto(f"/t/{task}")
        expect(row(page, "fourth")).to_be_visible(timeout=PATIENCE_MS)
        page.keyboard.press("/")
        page.keyboard.type("reFUND")

        count = page.locator(".log-bar .hits")
        expect(count).to_have_text("3 of 5 steps", timeout=PATIENCE_MS)
        expect(row(page, "second")).to_have_count(0)
        page.keyboard.press("Enter")
        page.keyboard.press("n")
        expect(page.locator("#detail h2")).to_have_text("first", timeout=PATIENCE_MS)
        page.wait_for_function(f"() => ({MARKS})('detail-found').length > 0", timeout=PATIENCE_MS)
        page.keyboard.press("n")
        expect(page.locator("#detail h2")).to_have_text("third", timeout=PATIENCE_MS)
        expect(page.locator("#detail").get_by_text("The refund")).to_be_in_viewport(timeout=PATIENCE_MS)
        until(lambda: set(page.evaluate(MARKS, "detail-found")) == {"refund"}, 10, "the words are marked")
        page.keyboard.press("n")
        expect(page.locator("#detail h2")).to_have_text("fourth", timeout=PATIENCE_MS)
        page.keyboard.press("N")
        expect(page.locator("#detail h2")).to_have_text("third", timeout=PATIENCE_MS)

        resume(process)
        expect(count).to_have_text("4 of 6 steps", timeout=PATIENCE_MS)
        expect(row(page, "fifth")).to_be_visible()
        resume(process)
        assert process.wait(60) == 0

    page.get_by_label("Filter steps").fill("nowhere at all")
    expect(page.get_by_text("No steps match this filter.")).to_be_visible(timeout=PATIENCE_MS)
