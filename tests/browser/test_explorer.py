"""The explorer in a real browser against the whole platform: what an agent does appears while it does it."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, register, resume, row, task_id_of
from tests.installation import Platform, until

from ams_contracts.topics import STEPS, task_key
from ams_kit.bus import Log, Record

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
AXE_RUN = "axe.run(document).then(({violations}) => violations.map(({id, nodes}) => [id, nodes[0].html]))"


def write_to_log(platform: Platform, project: str, task: str, value: bytes) -> None:
    """As a foreign program might that writes to the topics that only intake should write."""

    async def publish() -> None:
        log = await Log.open(f"127.0.0.1:{platform.port_of('kafka')}", "foreign")
        try:
            await log.publish([Record(topic=STEPS, key=task_key(project, task), value=value, headers=[("v", b"1"), ("kinds", b"steps")])])
        finally:
            await log.close()

    with ThreadPoolExecutor(1) as thread:  # Playwright's own loop runs in this one
        thread.submit(asyncio.run, publish()).result()


def test_a_task_appears_grows_and_ends_without_a_reload(page: Page, platform: Platform, tmp_path: Path) -> None:
    page.evaluate("window.notReloaded = true")

    with agent(platform, make_key(page), tmp_path) as process:
        task_id_of(process)
        page.get_by_role("link", name="Weather report").click(timeout=PATIENCE_MS)
        expect(row(page, "guide")).to_be_visible(timeout=PATIENCE_MS)
        expect(row(page, "answer")).to_have_count(0)

        resume(process)
        expect(row(page, "answer")).to_be_visible(timeout=PATIENCE_MS)
        expect(row(page, "lookup")).to_have_count(2)
        row(page, "answer").click()
        detail = page.locator("#detail")
        expect(detail.get_by_text("Output (streaming)")).to_be_visible(timeout=PATIENCE_MS)

        resume(process)
        assert process.wait(60) == 0

    expect(page.locator(".task-bar .pill")).to_contain_text("ok", timeout=PATIENCE_MS)
    expect(detail.get_by_text("It is 21 degrees")).to_be_visible(timeout=PATIENCE_MS)
    assert page.evaluate("window.notReloaded") is True


def test_an_address_leads_to_its_step_and_the_keyboard_to_the_error(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path) as process:
        task_id = task_id_of(process)
        resume(process)
        resume(process)
        assert process.wait(60) == 0
    page.goto(f"/t/{task_id}")
    expect(row(page, "guide")).to_be_visible(timeout=PATIENCE_MS)

    page.keyboard.press("e")

    card = page.get_by_role("region", name="Error")
    expect(card).to_contain_text("no such city: Atlantis", timeout=PATIENCE_MS)
    page.goto(page.url)
    expect(card).to_contain_text("LookupError", timeout=PATIENCE_MS)
    expect(page.locator("[role=row][aria-selected=true]")).to_contain_text("lookup")
    page.keyboard.press("Escape")
    expect(card).to_have_count(0)


def test_the_detail_leads_to_the_next_step_of_the_same_name(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path) as process:
        task_id = task_id_of(process)
        resume(process)
        resume(process)
        assert process.wait(60) == 0
    page.goto(f"/t/{task_id}")
    rows = row(page, "lookup")
    before, after = (page.get_by_role("button", name=f"{word} step of this name") for word in ("Previous", "Next"))
    rows.first.click(timeout=PATIENCE_MS)
    expect(before).to_have_count(0)

    after.click()

    expect(rows.nth(1)).to_have_attribute("aria-selected", "true")
    expect(after).to_have_count(0)
    before.click()
    expect(rows.first).to_have_attribute("aria-selected", "true")


def test_a_silent_agent_is_reported(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path) as process:
        task_id_of(process)
        page.get_by_role("link", name="Weather report").click(timeout=PATIENCE_MS)
        expect(row(page, "guide")).to_be_visible(timeout=PATIENCE_MS)
        process.kill()

    expect(row(page, "guide")).to_contain_text("no event for", timeout=30_000)


def test_another_users_project_is_not_found(page: Page, browser: Browser, platform: Platform) -> None:
    address = page.url
    make_key(page)
    context = browser.new_context(base_url=platform.url)
    stranger = context.new_page()
    register(stranger)

    stranger.goto(address)

    expect(stranger.get_by_role("heading", name="Project not found")).to_be_visible(timeout=PATIENCE_MS)
    context.close()


def test_a_failed_sign_in_is_explained(browser: Browser, platform: Platform) -> None:
    context = browser.new_context(base_url=platform.url)
    page = context.new_page()
    page.goto("/projects")
    page.get_by_label("Username or email").fill("nobody")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Password is required.")).to_be_visible()

    page.get_by_label("Password").fill("wrong wrong wrong")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_contain_text("Wrong", timeout=PATIENCE_MS)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_an_accessibility_violation(page: Page, platform: Platform, tmp_path: Path, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    with agent(platform, make_key(page), tmp_path) as process:
        task_id_of(process)
        resume(process)
        resume(process)
        assert process.wait(60) == 0

    def faults() -> list[list[str]]:
        page.evaluate(AXE.read_text())
        return page.evaluate(AXE_RUN)

    expect(page.get_by_role("link", name="Weather report")).to_be_visible(timeout=PATIENCE_MS)
    assert faults() == []
    page.get_by_role("link", name="Weather report").click()
    expect(row(page, "guide")).to_be_visible(timeout=PATIENCE_MS)
    page.keyboard.press("e")
    expect(page.get_by_role("region", name="Error")).to_be_visible(timeout=PATIENCE_MS)
    assert faults() == []
    page.keyboard.press("v")
    expect(page.get_by_role("grid", name="Steps in order of time")).to_be_visible()
    assert faults() == []
    page.get_by_role("link", name="API keys").click()
    expect(page.get_by_role("cell", name="first key", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    assert faults() == []


def test_what_was_not_stored_is_counted_shown_and_replayed(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path) as process:
        task = task_id_of(process)
        resume(process)
        resume(process)
        assert process.wait(60) == 0
    expect(page.get_by_role("link", name="Weather report")).to_be_visible(timeout=PATIENCE_MS)
    project = page.url.split("/projects/")[1].split("/")[0]
    badge = page.get_by_role("navigation", name="Project").get_by_role("link", name="not stored")
    expect(badge).to_have_count(0)
    event = {"kind": "step.teleported", "event_id": "ab" * 16, "seq": 0, "at_us": 1_790_000_000_000_000, "step_id": "cd" * 8}
    batch = {"v": 1, "project_id": project, "task_id": task, "producer": {"sdk": "x", "instance_id": "i"}, "events": [event]}

    write_to_log(platform, project, task, json.dumps(batch).encode())

    def counted() -> bool:
        page.goto(f"/projects/{project}/tasks/{task}")
        expect(row(page, "guide")).to_be_visible(timeout=PATIENCE_MS)
        return badge.count() == 1

    until(counted, 30, "the badge counts it")
    expect(page.get_by_text("1 record of this task was not stored")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("link", name="Details").click()
    expect(page.get_by_text("an unknown kind of event")).to_be_visible(timeout=PATIENCE_MS)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("pre")).to_contain_text("step.teleported", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("cell", name="replayed")).to_be_visible(timeout=PATIENCE_MS)


def test_a_task_is_deleted_after_a_confirmation(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path) as process:
        task_id_of(process)
        resume(process)
        resume(process)
        assert process.wait(60) == 0
    page.get_by_role("link", name="Weather report").click(timeout=PATIENCE_MS)
    expect(row(page, "guide")).to_be_visible(timeout=PATIENCE_MS)

    page.get_by_role("button", name="Task actions").click()
    page.get_by_role("button", name="Delete…").click()
    dialog = page.get_by_role("dialog", name="Delete this task?")
    expect(dialog).to_contain_text("30 days")
    dialog.get_by_role("button", name="Cancel").click()
    expect(row(page, "guide")).to_be_visible()
    page.get_by_role("button", name="Task actions").click()
    page.get_by_role("button", name="Delete…").click()
    dialog.get_by_role("button", name="Delete", exact=True).click()

    expect(page.get_by_role("heading", name="Send your first task")).to_be_visible(timeout=PATIENCE_MS)
    page.reload()
    expect(page.get_by_role("heading", name="Send your first task")).to_be_visible(timeout=PATIENCE_MS)


def test_the_palette_leads_to_tasks_and_pages_from_inside_a_field(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path) as process:
        task_id = task_id_of(process)
        resume(process)
        resume(process)
        assert process.wait(60) == 0
    expect(page.get_by_role("link", name="Weather report")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_label("Search tasks").focus()
    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog", name="Go to")
    palette.get_by_role("combobox").fill(task_id)
    expect(palette.get_by_role("option", name="Weather report")).to_have_attribute("aria-selected", "true", timeout=PATIENCE_MS)

    page.keyboard.press("Enter")

    expect(row(page, "guide")).to_be_visible(timeout=PATIENCE_MS)
    page.keyboard.press("Control+k")
    page.keyboard.type("dark")
    expect(palette.get_by_role("option")).to_have_text(["Dark theme"], timeout=PATIENCE_MS)
    page.keyboard.press("Enter")
    expect(palette).to_have_count(0)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_used_sign_in_link_is_explained(browser: Browser, platform: Platform) -> None:
    context = browser.new_context(base_url=platform.url)
    page = context.new_page()

    page.goto("/signin?code=never-given")

    expect(page.get_by_role("alert")).to_contain_text("was already used or has expired", timeout=PATIENCE_MS)
    context.close()
