"""Public links: a member makes one, a person without an account reads the task and nothing else, and a revocation ends it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, row, task_id_of
from tests.browser.test_explorer import AXE, AXE_RUN
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

HOSTILE = "<img src=x onerror=alert(1)> the contents"
ASSISTANT = f"""
import ams

ams.init()
with ams.task("Answer a customer", user_id="customer-77", conversation_id="talk-5") as task:
    print(task.task_id, flush=True)
    ams.score("helpful", True, comment="secret opinion")
    with ams.step("support", type="agent"):
        with ams.llm("draft", model="gpt-4o", input="{HOSTILE}") as step:
            step.output = "{HOSTILE}"
assert ams.flush(30).complete
"""


@pytest.fixture
def visitor(browser: Browser, platform: Platform) -> Iterator[Page]:
    """A page without a session; scripts of contents that run, and requests that are refused, fail the test."""
    refused: list[str] = []
    context = browser.new_context(base_url=platform.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("dialog", lambda dialog: refused.append(dialog.message))
    page.on("response", lambda answer: refused.append(answer.url) if answer.status in {401, 403} else None)
    yield page
    context.close()
    assert refused == []


def make_link(page: Page, pictures: Path, *, payloads: bool) -> str:
    """Make a public link in the menu of the task, after what visitors see was read."""
    page.get_by_role("button", name="Task actions").click()
    page.get_by_role("button", name="Share by a public link…").click()
    dialog = page.get_by_role("dialog", name="Share this task by a public link")
    expect(dialog).to_contain_text("Anyone who has the link can read this task without an account")
    if payloads:
        dialog.get_by_role("checkbox").check()
    hidden = dialog.locator(".share-shows > div").last
    expect(hidden).to_contain_text("Other tasks")
    if payloads:
        expect(hidden).not_to_contain_text("Inputs, outputs")
    else:
        expect(hidden).to_contain_text("Inputs, outputs")
    page.screenshot(path=pictures / f"dialog-{payloads}.png")
    dialog.get_by_role("button", name="Create link").click()
    link = dialog.get_by_role("status").locator("code").inner_text()
    dialog.get_by_role("button", name="Done").click()
    return link


def test_a_visitor_reads_one_task_until_its_link_is_revoked(page: Page, visitor: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, ASSISTANT) as process:
        page.goto(f"/t/{task_id_of(process)}")
        assert process.wait(60) == 0
    expect(row(page, "draft")).to_be_visible(timeout=PATIENCE_MS)
    project = page.url.split("/projects/")[1].split("/")[0]
    asked: list[str] = []
    visitor.on("request", lambda request: asked.append(_line(request)))

    structure = make_link(page, tmp_path, payloads=False)
    visitor.goto(structure)
    row(visitor, "draft").click()
    expect(visitor.get_by_text("This link does not show the output.")).to_be_visible()
    expect(visitor.get_by_role("link", name="Conversation")).to_have_count(0)
    expect(visitor.locator("body")).not_to_contain_text("the contents")
    visitor.screenshot(path=tmp_path / "structure.png")

    contents = make_link(page, tmp_path, payloads=True)
    visitor.goto("about:blank")
    visitor.goto(contents)
    row(visitor, "draft").click()
    expect(visitor.locator("#detail")).to_contain_text(HOSTILE)
    for tab in ("Conversation", "Graph", "Activity"):
        visitor.get_by_role("link", name=tab, exact=True).click()
        expect(visitor.get_by_role("link", name=tab, exact=True)).to_have_attribute("aria-current", "page")
    visitor.reload()  # the address still has the secret
    expect(visitor.locator("#detail")).to_contain_text(HOSTILE)
    for hidden in ("customer-77", "talk-5", "secret opinion", "Scores", "Delivery"):
        expect(visitor.locator("body")).not_to_contain_text(hidden)
    visitor.screenshot(path=tmp_path / "contents.png")
    visitor.evaluate(AXE.read_text())
    assert visitor.evaluate(AXE_RUN) == []
    # the details slide in from beyond the edge when the window becomes narrow: slowly, to see the start
    visitor.locator(".detail-pane").evaluate("(pane) => { pane.style.animationDuration = '60s'; }")
    visitor.set_viewport_size({"width": 390, "height": 844})
    assert visitor.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    visitor.locator(".detail-pane").evaluate("(pane) => { pane.style.animationDuration = ''; }")
    visitor.screenshot(path=tmp_path / "phone.png")
    secret = contents.partition("#")[2]
    assert not [line for line in asked if secret in line], "the secret is in no address that a server sees"

    visitor.goto("about:blank")
    reader = visitor.context.browser.new_page(base_url=platform.url)  # type: ignore[union-attr]  the fixture's browser
    reader.goto(contents)
    expect(row(reader, "draft")).to_be_visible(timeout=PATIENCE_MS)
    page.goto(f"/projects/{project}/links")
    expect(page.get_by_role("button", name="Revoke the link")).to_have_count(2)
    page.screenshot(path=tmp_path / "links.png")
    page.get_by_role("button", name="Revoke the link").first.click()
    expect(page.get_by_role("button", name="Revoke the link")).to_have_count(1)
    expect(reader.get_by_role("alert")).to_contain_text("This link was revoked or has expired.", timeout=PATIENCE_MS)
    reader.close()


def _line(request: Request) -> str:
    return f"{request.method} {request.url.partition('#')[0]} {request.headers.get('referer', '')}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_a_project_have_no_accessibility_violation(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    project = page.url.split("/projects/")[1].split("/")[0]
    violations: dict[str, list[str]] = {}

    for name in ("links", "models", "annotate", "preferences", "people", "audit", "account"):
        page.goto("/account" if name == "account" else f"/projects/{project}/{name}")
        expect(page.locator("h1").first).to_be_visible(timeout=PATIENCE_MS)
        page.evaluate(AXE.read_text())
        if found := page.evaluate(AXE_RUN):
            violations[name] = found

    assert violations == {}
