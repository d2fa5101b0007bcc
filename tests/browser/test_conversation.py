"""The Conversation tab: a task as one column of turns, beside the steps of its tree."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests import reference
from tests.browser.journeys import PATIENCE_MS, agent, make_key, resume, row, task_id_of
from tests.browser.test_explorer import AXE, AXE_RUN
from tests.browser.test_words import post
from tests.installation import Platform

from ams_trace_ingest.intake.otlp import Encoding

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

# a loop of two turns whose second prompt repeats the first, changes the system prompt, and has the result of a tool
LOOP = """
import ams

ams.init(heartbeat_seconds=0.5)


@ams.tool
def get_weather(city: str) -> str:
    return f"sunny in {city}"


def system(text):
    return {"role": "system", "content": text}


ASKED = {"role": "user", "content": "How warm is it in Paris?"}
CALL = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "c1", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}]}

with ams.task("Weather report") as task:
    with ams.step("guide", type="agent"):
        print(task.task_id, flush=True)
        with ams.llm("first", input=[system("Use the short form."), ASKED]) as step:
            step.set(parameters={"tools": [{"type": "function", "function": {"name": "get_weather", "description": "The weather now"}}]})
            step.output = [CALL]
        get_weather("Paris")
        with ams.llm("second", input=[
            system("Use the long form."), ASKED, CALL,
            {"role": "tool", "tool_call_id": "c1", "content": "sunny in Paris"},
            {"role": "user", "content": "And in Rome?"},
        ]) as step:
            step.set(parameters={"tools": [{"type": "function", "function": {"name": "get_weather", "description": "The weather now"}}]})
            input()
            step.delta("It is **21** ")
            input()
            step.output = [{"role": "assistant", "content": "It is **21** degrees in Rome"}]
assert ams.flush(30).complete
"""


def tasks_of(name: str) -> list[str]:
    return sorted({task for task, _ in reference.folded(reference.mapped([reference.as_json(name)], Encoding.JSON))})


def test_a_turn_shows_only_what_is_new_in_its_prompt_and_grows_live(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, LOOP) as process:
        task = task_id_of(process)
        project = page.url.split("/projects/")[1].split("/")[0]
        page.goto(f"/projects/{project}/tasks/{task}")
        expect(row(page, "second")).to_be_visible(timeout=PATIENCE_MS)
        page.get_by_role("link", name="Conversation").click()
        second = page.get_by_role("article", name="Turn 2 of 2, guide")
        expect(second.get_by_text("And in Rome?")).to_be_visible(timeout=PATIENCE_MS)

        resume(process)
        expect(second.locator(".stream-text")).to_have_text("It is 21", timeout=PATIENCE_MS)
        resume(process)
        assert process.wait(60) == 0

    expect(second.get_by_text("It is 21 degrees in Rome")).to_be_visible(timeout=PATIENCE_MS)
    expect(second.get_by_role("button", name="earlier messages, same as")).to_be_visible()
    expect(second.get_by_text("How warm is it in Paris?")).to_have_count(0)
    changed = second.get_by_role("article", name="Changed system message")
    expect(changed.locator("ins")).to_have_text("long")
    expect(changed.locator("del")).to_have_text("short")
    tool = page.get_by_role("article", name="tool get_weather")
    expect(tool).to_contain_text('city: "Paris"')
    expect(tool).to_contain_text("sunny in Paris")
    # the tools are those of the first turn, and not repeated
    expect(page.get_by_role("button", name="1 tool offered")).to_have_count(1)
    page.get_by_role("button", name="1 tool offered").click()
    page.get_by_role("article", name="Turn 1 of 2, guide").locator(".tool-offered summary").click()
    expect(page.get_by_text("The weather now")).to_be_visible()
    second.get_by_role("button", name="earlier messages, same as").click()
    expect(second.get_by_text("How warm is it in Paris?")).to_be_visible()


def test_a_turn_and_its_step_in_the_tree_are_one_selection(page: Page, platform: Platform) -> None:
    key = make_key(page)
    project = page.url.split("/projects/")[1].split("/")[0]
    post(platform, key, "otel_genai_langgraph_large")
    [task] = tasks_of("otel_genai_langgraph_large")

    page.goto(f"/projects/{project}/tasks/{task}?tab=conversation")
    expect(page.get_by_text("1,100 turns")).to_be_visible(timeout=PATIENCE_MS)
    assert page.locator(".turn-place").count() < 40
    page.get_by_label("Turns", exact=True).evaluate("element => { element.scrollTop = element.scrollHeight }")
    last = page.get_by_role("article", name="Turn 1100 of 1100")
    expect(last).to_be_visible(timeout=PATIENCE_MS)
    last.get_by_role("button", name="chat gpt-4o-mini").click()
    expect(last).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("complementary", name="Step")).to_be_visible()

    page.get_by_role("link", name="Steps", exact=True).click()
    expect(page.locator(".step-row[aria-selected=true]")).to_be_in_viewport(timeout=PATIENCE_MS)
    page.get_by_role("link", name="Conversation").click()
    expect(last).to_be_in_viewport(timeout=PATIENCE_MS)
    last.get_by_role("button", name="Previous turn").click()
    expect(page.get_by_role("article", name="Turn 1099 of 1100")).to_have_attribute("aria-current", "true")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_conversation_has_no_accessibility_violation(page: Page, platform: Platform, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    key = make_key(page)
    project = page.url.split("/projects/")[1].split("/")[0]
    post(platform, key, "pydantic_ai_default")

    for task in tasks_of("pydantic_ai_default")[:3]:
        page.goto(f"/projects/{project}/tasks/{task}?tab=conversation")
        expect(page.locator(".turn-card").first).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator(".turn-ghost")).to_have_count(0, timeout=PATIENCE_MS)
        page.evaluate(AXE.read_text())
        assert page.evaluate(AXE_RUN) == []


SESSION = """
import ams

ams.init()

for question, answer in (("Where is my order?", "It was sent."), ("And the bill?", "Attached.")):
    with ams.task("support", conversation_id="support / 7", user_id="ada") as task:
        task.input = question
        with ams.step("helper", type="agent") as step:
            step.input = question
            step.output = answer
        task.output = answer
assert ams.flush(30).complete
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_tasks_of_one_conversation_are_a_session(page: Page, platform: Platform, tmp_path: Path, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    with agent(platform, make_key(page), tmp_path, SESSION) as process:
        assert process.wait(60) == 0

    page.get_by_role("link", name="Sessions").click()
    session = page.get_by_role("row", name="support / 7")
    expect(session).to_contain_text("ada", timeout=PATIENCE_MS)
    expect(session.get_by_role("cell").nth(4)).to_have_text("2", timeout=PATIENCE_MS)
    page.evaluate(AXE.read_text())
    assert page.evaluate(AXE_RUN) == []
    session.get_by_role("link", name="support / 7").click()

    tasks = page.locator(".session-task")
    expect(tasks).to_have_count(2, timeout=PATIENCE_MS)
    expect(tasks.nth(0)).to_contain_text("Where is my order?")
    expect(tasks.nth(0)).to_contain_text("It was sent.")
    expect(tasks.nth(1)).to_contain_text("And the bill?")
    page.evaluate(AXE.read_text())
    assert page.evaluate(AXE_RUN) == []
    tasks.nth(1).get_by_role("link", name="support").click()
    expect(page.get_by_role("article", name="agent helper")).to_contain_text("Attached.", timeout=PATIENCE_MS)
    page.get_by_role("link", name="Session", exact=True).click()
    expect(page.get_by_role("heading", name="support / 7")).to_be_visible(timeout=PATIENCE_MS)


WAIT = """
import ams

ams.init(heartbeat_seconds=0.5)

with ams.task("Refund") as task:
    print(task.task_id, flush=True)
    with ams.step("approve", type="tool") as step:
        step.input = {"amount": 40}
        with step.waiting("for approval of a refund of $40"):
            input()
        input()
assert ams.flush(30).complete
"""


def test_a_waiting_step_shows_what_it_asks_and_since_when(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, WAIT) as process:
        task = task_id_of(process)
        project = page.url.split("/projects/")[1].split("/")[0]
        page.goto(f"/projects/{project}/tasks/{task}")
        approve = row(page, "approve")
        expect(approve).to_contain_text("waits for approval of a refund of $40, since", timeout=PATIENCE_MS)
        page.reload()
        expect(approve).to_contain_text("waits for approval of a refund of $40, since", timeout=PATIENCE_MS)
        approve.click()
        card = page.locator("#detail").get_by_role("region", name="approve waits")
        expect(card).to_contain_text("Waits for approval of a refund of $40", timeout=PATIENCE_MS)
        expect(card).to_contain_text("since")
        page.get_by_role("link", name="Conversation").click()
        turn = page.get_by_role("article", name="tool approve")
        expect(turn.get_by_role("region", name="approve waits")).to_contain_text("refund of $40", timeout=PATIENCE_MS)

        resume(process)

        expect(page.get_by_role("region", name="approve waits")).to_have_count(0, timeout=PATIENCE_MS)
        resume(process)
        assert process.wait(60) == 0
