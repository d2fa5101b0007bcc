"""A browser, and a page of a new user in it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tests.browser.journeys import PATIENCE_MS, register
from tests.chromium import Chromium
from tests.installation import Platform

VIOLATION = """
addEventListener('securitypolicyviolation', (event) =>
  reportViolation(`${location.pathname}: ${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`));
"""


def collect_violations(context: BrowserContext) -> list[str]:
    """What the pages of a context do against the Content-Security-Policy, in a list that grows."""
    violations: list[str] = []

    def report(violation: str) -> None:  # Playwright takes no built-in method
        violations.append(violation)

    context.expose_function("reportViolation", report)
    context.add_init_script(VIOLATION)
    return violations


@pytest.fixture(scope="module")
def browser(chromium: Chromium) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**chromium.launch_options())
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, platform: Platform) -> Iterator[Page]:
    """A page of a new user; errors of the page, and what its policy forbids, fail the test."""
    errors: list[str] = []
    context = browser.new_context(base_url=platform.url, viewport={"width": 1440, "height": 900})
    violations = collect_violations(context)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    register(page)
    yield page
    context.close()
    assert (errors, violations) == ([], [])
