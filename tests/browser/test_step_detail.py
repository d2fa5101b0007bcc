"""The detail of a step: tools that a model was offered, documents that a retrieval found, vectors, and structured output."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, resume, row, task_id_of
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

ASSISTANT = """
import json

import ams

ams.init()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "nights": {"type": "integer"}}, "required": ["city"]}
HOTEL = {"type": "function", "function": {"name": "book_hotel", "description": "Book a hotel", "parameters": SCHEMA}}
with ams.task("Plan a trip") as task:
    print(task.task_id, flush=True)
    with ams.step("manuals", type="retrieval", input="heat pump") as step:
        step.output = [
            {"id": "HP-9", "content": "The pump hums at night.", "score": 0.75, "metadata": {"page": 12}},
            {"id": "CRM-1", "content": "The customer was called.", "score": 0.5},
        ]
    with ams.step("embed", type="embedding", input="heat pump") as step:
        step.output = {"vectors": [[0.25] * 16 + [0.0] * 1_520], "as_text": json.dumps([0.25] * 64)}
    with ams.llm("choose", input="Where to?") as step:
        step.set(parameters={"temperature": 0, "tools": [HOTEL, {**HOTEL, "function": {"name": "ask_person"}}]})
        step.output = [{"role": "assistant", "content": '{"city": "Paris", "nights": 3}'}]
assert ams.flush(30).complete
"""


def section(page: Page, name: str) -> Locator:
    return page.locator("#detail section").filter(has=page.get_by_role("button", name=name, exact=True))


def test_a_step_shows_documents_vectors_tools_and_structured_output_as_what_they_are(
    page: Page, platform: Platform, tmp_path: Path
) -> None:
    with agent(platform, make_key(page), tmp_path, ASSISTANT) as process:
        page.goto(f"/t/{task_id_of(process)}")
        assert process.wait(60) == 0

    row(page, "manuals").click(timeout=PATIENCE_MS)
    documents = section(page, "Output").locator(".document-card")
    expect(documents).to_have_count(2, timeout=PATIENCE_MS)
    expect(documents.first).to_contain_text("HP-9")
    expect(documents.first).to_contain_text("The pump hums at night.")
    expect(documents.first.locator(".document-score")).to_contain_text("0.75")
    widths = [card.locator(".document-score i").bounding_box() for card in documents.all()]
    assert [round(box["width"]) for box in widths if box] == [36, 24]
    section(page, "Output").get_by_role("button", name="Raw").click()
    expect(section(page, "Output").locator("pre")).to_contain_text('"score": 0.75')
    section(page, "Output").get_by_role("button", name="Markdown").click()

    row(page, "embed").click()
    expect(section(page, "Output")).to_contain_text("1,536 numbers, norm 1.000", timeout=PATIENCE_MS)
    expect(section(page, "Output")).to_contain_text("64 numbers, norm 2.000")
    expect(section(page, "Output")).not_to_contain_text("0.25")

    row(page, "choose").click()
    expect(section(page, "Output").locator(".json-key").first).to_contain_text("city", timeout=PATIENCE_MS)
    tools = section(page, "Tools offered")
    expect(tools).to_contain_text("2 · book_hotel, ask_person")
    tools.get_by_role("button", name="Tools offered").click()
    tools.get_by_text("city: string, nights?: integer").click()
    expect(tools).to_contain_text("Book a hotel")
    expect(tools.locator(".json-key").filter(has_text="required")).to_be_visible()


ANSWER = """
import ams

ams.init()
with ams.task("Answer") as task:
    print(task.task_id, flush=True)
    with ams.llm("answer", input="go") as step:
        input()
        step.output = "Forty-two"
assert ams.flush(30).complete
"""


def test_the_output_is_shown_although_the_tables_lag_behind_the_frames(page: Page, platform: Platform, tmp_path: Path) -> None:
    old: list[str] = []

    def lag(route: Route) -> None:
        if old:
            route.fulfill(content_type="application/json", body=old.pop())
        else:
            route.continue_()

    with agent(platform, make_key(page), tmp_path, ANSWER) as process:
        page.goto(f"/t/{task_id_of(process)}")
        with page.expect_response(lambda response: "/steps/" in response.url) as answer:
            row(page, "answer").click(timeout=PATIENCE_MS)
        expect(section(page, "Output")).to_contain_text("No output yet", timeout=PATIENCE_MS)
        old += [answer.value.text()] * 2
        page.route("**/api/traces/*/tasks/*/steps/*", lag)
        resume(process)
        assert process.wait(60) == 0

    expect(section(page, "Output")).to_contain_text("Forty-two", timeout=PATIENCE_MS)
    assert old == []
