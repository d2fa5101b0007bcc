"""The gateway's Content-Security-Policy, which allows no inline script and no inline style: no page of the explorer or the documentation needs one."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import collect_violations
from tests.browser.journeys import PATIENCE_MS, agent, make_key, resume, task_id_of
from tests.client import eventually
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

WEB = Path(__file__).parents[2] / "web" / "src"
PAGES = re.findall(r"page === '([a-z-]+)' \?", (WEB / "routes" / "project.tsx").read_text(encoding="utf-8"))
TABS = re.findall(r"^    id: '([a-z-]+)'", (WEB / "features" / "task-tabs" / "tabs.ts").read_text(encoding="utf-8"), re.MULTILINE)
OUTSIDE = (
    "/",
    "/account",
    "/administration",
    "/invitation",
    "/signin",
    "/register",
    "/forgot",
    "/reset",
    "/verify-email",
    "/shared",
    "/nothing",
)
INLINE = """
document.body.insertAdjacentHTML('beforeend', '<p style="color: red">a style of its own</p>');
"""


def test_every_page_and_every_tab_keeps_the_policy(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path) as process:
        task = task_id_of(process)
        resume(process)
        resume(process)
        assert process.wait(60) == 0
    project = page.url.split("/projects/")[1].split("/")[0]
    assert (len(PAGES), len(TABS)) >= (10, 4)

    of_the_task = [f"/projects/{project}/tasks/{task}{query}" for query in ("", *(f"?tab={tab}" for tab in TABS))]
    for path in [*(f"/projects/{project}/{name}" for name in PAGES), *of_the_task, *OUTSIDE]:
        page.goto(path)
        expect(page.locator("main").first).to_be_visible(timeout=PATIENCE_MS)
        page.wait_for_load_state("networkidle", timeout=PATIENCE_MS) if "tab=" in path else None
    # that nothing was reported is what the fixture of the page checks


def test_an_inline_style_is_refused(browser: Browser, platform: Platform) -> None:
    context = browser.new_context(base_url=platform.url)
    violations = collect_violations(context)
    page = context.new_page()
    page.goto("/signin")
    page.evaluate(INLINE)
    eventually(lambda: page.wait_for_timeout(50) or violations, lambda found: found != [], 5)
    context.close()

    assert [violation.split()[1] for violation in violations] == ["style-src-attr"]


def test_the_documentation_keeps_the_policy(browser: Browser, platform: Platform) -> None:
    eventually(lambda: b"is being built" in platform.get("/docs/")[2], lambda building: not building, timeout_seconds=180)
    context = browser.new_context(base_url=platform.url)
    violations = collect_violations(context)
    page = context.new_page()
    for path in ("/docs/", "/docs/reference/queries/", "/docs/adr/", "/docs/security/", "/docs/sdk/", "/docs/nothing/"):
        page.goto(path)
        expect(page.get_by_role("article").or_(page.locator("article")).first).to_be_visible(timeout=PATIENCE_MS)
    context.close()

    assert violations == []
