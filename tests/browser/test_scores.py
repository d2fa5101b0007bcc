"""Scores and notes: a person gives them to a task and to its steps, sees those of code beside them, and takes back their own."""

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, row, task_id_of
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

TWO_ANSWERS = """
import ams

ams.init()
with ams.task("Answer questions") as task:
    print(task.task_id, flush=True)
    for name in ("first", "second"):
        with ams.llm(name, input="How warm is it?") as step:
            print(step.step_id, flush=True)
            step.output = "21 degrees"
assert ams.flush(30).complete
"""


def scores_of(page: Page) -> Locator:
    heading = page.get_by_role("button", name="Scores", exact=True)
    return page.locator("#detail section").filter(has=heading)


def lines(page: Page) -> Locator:
    return scores_of(page).locator(".score-line")


def give_number(page: Page, name: str, number: str) -> None:
    form = scores_of(page).get_by_role("form")
    form.get_by_role("button", name="Number").click()
    form.get_by_label("Name of the score").fill(name)
    form.get_by_label("Number", exact=True).fill(number)
    form.get_by_label("Number", exact=True).press("Enter")


def test_a_person_scores_a_task_and_its_steps_beside_scores_of_code(page: Page, platform: Platform, tmp_path: Path) -> None:
    key = make_key(page)
    with agent(platform, key, tmp_path, TWO_ANSWERS) as process:
        task = task_id_of(process)
        first, _ = task_id_of(process), task_id_of(process)
        assert process.wait(60) == 0
    project = page.url.split("/projects/")[1].split("/")[0]
    by_code = {"task_id": task, "step_id": first, "name": "helpful", "value": 0.2, "author": "grader"}
    page.goto(f"/t/{task}")
    row(page, "first").click(timeout=PATIENCE_MS)
    expect(scores_of(page).get_by_role("form")).to_be_visible(timeout=PATIENCE_MS)

    # live: the page is not loaded again
    httpx.post(
        f"{platform.url}/api/ingest/{project}/scores", json=by_code, headers={"Authorization": f"Bearer {key}"}, timeout=30
    ).raise_for_status()
    expect(lines(page)).to_have_count(1, timeout=PATIENCE_MS)
    expect(lines(page)).to_contain_text("0.2")
    expect(lines(page)).to_contain_text("grader · code")

    give_number(page, "helpful", "0,6")
    expect(lines(page)).to_have_count(2, timeout=PATIENCE_MS)
    give_number(page, "helpful", "0.8")
    expect(lines(page).first).to_contain_text("0.8", timeout=PATIENCE_MS)
    expect(lines(page)).to_have_count(2)

    # the task has averages over its steps; a thumb and a note are its own
    page.get_by_role("button", name="Close step").click()
    expect(page.locator(".task-bar .score-fact")).to_contain_text("0.5", timeout=PATIENCE_MS)
    page.keyboard.press("-")
    expect(lines(page)).to_contain_text("thumbs down", timeout=PATIENCE_MS)
    page.keyboard.press("+")
    expect(lines(page)).to_contain_text("thumbs up", timeout=PATIENCE_MS)
    form = scores_of(page).get_by_role("form")
    form.get_by_role("button", name="Note").click()
    form.get_by_label("Note").last.fill("Ask again in winter")
    form.get_by_role("button", name="Add note").click()
    expect(lines(page)).to_have_count(2, timeout=PATIENCE_MS)
    expect(scores_of(page).get_by_role("list", name="Averages")).to_contain_text("helpful0.5")

    page.reload()
    expect(lines(page)).to_have_count(2, timeout=PATIENCE_MS)
    page.get_by_role("button", name="Remove the score note").click()
    expect(lines(page)).to_have_count(1, timeout=PATIENCE_MS)
    expect(lines(page)).to_contain_text("thumbs up")


def test_what_is_missing_in_a_score_is_said_at_the_form(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, TWO_ANSWERS) as process:
        task = task_id_of(process)
        assert process.wait(60) == 0
    page.goto(f"/t/{task}")
    expect(scores_of(page).get_by_role("form")).to_be_visible(timeout=PATIENCE_MS)

    give_number(page, "helpful", "very")
    expect(scores_of(page).get_by_role("alert")).to_contain_text("Enter a number")
    give_number(page, " ", "1")
    expect(scores_of(page).get_by_role("alert")).to_contain_text("Enter a name")
    # keys of the page are not keys of its fields
    scores_of(page).get_by_label("Name of the score").press_sequentially("a+b-s")
    expect(lines(page)).to_have_count(0)
    give_number(page, "a+b-s", "1")
    expect(lines(page)).to_contain_text("a+b-s", timeout=PATIENCE_MS)


def test_a_saved_view_is_a_queue_whose_tasks_are_scored_one_after_the_other(page: Page, platform: Platform, tmp_path: Path) -> None:
    key = make_key(page)
    project = page.url.split("/projects/")[1].split("/")[0]
    for number in range(3):
        with agent(platform, key, tmp_path, TWO_ANSWERS.replace("Answer questions", f"Question {number}")) as process:
            task_id_of(process)
            assert process.wait(60) == 0
    page.goto(f"/projects/{project}/tasks?q=-score.thumb:*")
    expect(page.get_by_text("Question 0")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Saved views").click()
    page.get_by_label("Save this view as").fill("Not judged")
    page.get_by_role("button", name="Save view").click()
    expect(page.get_by_label("Save this view as")).to_be_hidden()  # the menu closes when the view is saved
    page.get_by_role("button", name="Saved views").click()
    page.get_by_role("link", name="Annotate the tasks of Not judged").click()

    place = page.locator(".annotate-place")
    expect(place).to_have_text("1 of 3", timeout=PATIENCE_MS)
    expect(page.get_by_role("heading", name="Question 2")).to_be_visible(timeout=PATIENCE_MS)
    expect(scores_of(page).get_by_role("form")).to_be_visible(timeout=PATIENCE_MS)
    page.keyboard.press("+")
    expect(place).to_have_text("2 of 3 · 1 scored", timeout=PATIENCE_MS)
    expect(page.get_by_role("heading", name="Question 1")).to_be_visible(timeout=PATIENCE_MS)
    page.keyboard.press("]")
    expect(place).to_contain_text("3 of 3")
    expect(page.get_by_role("heading", name="Question 0")).to_be_visible(timeout=PATIENCE_MS)
    page.keyboard.press("[")
    expect(place).to_contain_text("2 of 3")

    # the judged task stays in this queue, and is not in the next one
    page.keyboard.press("[")
    expect(lines(page)).to_contain_text("thumbs up", timeout=PATIENCE_MS)
    page.get_by_role("link", name="Close the queue").click()
    expect(page.get_by_text("Question 1")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("Question 2")).to_have_count(0)
