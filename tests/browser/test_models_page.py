"""The page of models: what the project used and what it costs, list prices beside it, and models without a price marked."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, task_id_of
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

TWO_MODELS = """
import ams

ams.init()
with ams.task("Ask twice") as task:
    print(task.task_id, flush=True)
    for model in ("gpt-4o-mini", "our-own-model"):
        with ams.llm("ask", model=model, input="hi") as step:
            step.set(provider="openai")
            step.usage(input=1_000_000, output=0)
            step.output = "ho"
assert ams.flush(30).complete
"""


def test_models_have_their_use_and_their_list_price_and_unknown_ones_say_so(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, TWO_MODELS) as process:
        task_id_of(process)
        assert process.wait(60) == 0
    project = page.url.split("/projects/")[1].split("/")[0]
    page.goto(f"/projects/{project}/models")

    known = page.get_by_role("row").filter(has_text="gpt-4o-mini")
    expect(known).to_contain_text("$0.15", timeout=PATIENCE_MS)
    expect(known).to_contain_text("$0.075")
    expect(known).not_to_contain_text("no list price")
    unknown = page.get_by_role("row").filter(has_text="our-own-model")
    expect(unknown).to_contain_text("no list price")
    expect(unknown).to_contain_text("unknown")


def test_preferences_are_found_by_the_palette_and_last(page: Page) -> None:
    make_key(page)
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Go to a task, project or page").fill("time zone")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Preferences")).to_be_visible(timeout=PATIENCE_MS)

    page.get_by_role("group", name="Theme").get_by_role("button", name="Dark").click()
    page.get_by_role("group", name="Rows of lists").get_by_role("button", name="Compact").click()
    page.get_by_role("group", name="Time zone").get_by_role("button", name="UTC").click()
    page.reload()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    for name in ("Dark", "Compact", "UTC"):
        expect(page.get_by_role("button", name=name, exact=True).first).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".zone")).to_have_text("UTC")
    page.emulate_media(media="print")
    expect(page.locator(".topbar")).to_be_hidden()
    expect(page.get_by_role("heading", name="Preferences")).to_be_visible()
