"""The page of models: what the project used and what it costs, list prices beside it, and models without a price marked."""

import re
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
    expect(known).not_to_contain_text("no price")
    unknown = page.get_by_role("row").filter(has_text="our-own-model")
    expect(unknown).to_contain_text("no price")
    expect(unknown).to_contain_text("unknown")
    expect(page.get_by_text("1 model had no price: the cost of 1 call is unknown.")).to_be_visible()


def test_an_owner_previews_a_price_sets_it_and_sees_its_versions(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, TWO_MODELS) as process:
        task_id_of(process)
        assert process.wait(60) == 0
    project = page.url.split("/projects/")[1].split("/")[0]
    page.goto(f"/projects/{project}/models")
    page.get_by_role("button", name="Own price of our-own-model").click(timeout=PATIENCE_MS)
    dialog = page.get_by_role("dialog", name="Set an own price")

    dialog.get_by_role("button", name="Set price").click()
    expect(dialog.get_by_text("A price needs input or output.")).to_be_visible()
    dialog.get_by_role("textbox", name="Input").first.fill("2.5")
    dialog.get_by_label("From").fill("2026-01-01")
    dialog.get_by_role("button", name="Preview changes").click()
    expect(dialog.locator(".price-totals")).to_have_text(
        re.compile(r"Calls\s*1\s*Cost now\s*\$0\s*With this price\s*\$2\.50\s*Difference\s*\+\$2\.50"), timeout=PATIENCE_MS
    )
    expect(dialog.get_by_role("region", name="Changes by day and model").get_by_role("row")).to_have_count(2)
    dialog.get_by_role("button", name="Set price").click()

    expect(dialog).to_be_hidden(timeout=PATIENCE_MS)
    row = page.get_by_role("row").filter(has_text="our-own-model").first
    expect(row).to_contain_text("$2.50")
    expect(row).not_to_contain_text("no price")
    versions = page.get_by_role("table", name="Own prices")
    expect(versions.get_by_role("row")).to_have_count(2)
    row.get_by_role("button", name="Own price of our-own-model").click()
    page.get_by_role("button", name="Use the list price again").click()
    expect(versions.get_by_text("list price")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Show 1 earlier version").click()
    expect(versions.get_by_text("past")).to_be_visible()


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
