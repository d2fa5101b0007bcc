"""The documentation site: built by the platform, read in a browser under the gateway's policy."""

import pytest
from playwright.sync_api import Browser
from tests.client import eventually
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]


def test_the_site_has_a_search_and_needs_nothing_from_elsewhere(platform: Platform, browser: Browser) -> None:
    eventually(lambda: b"is being built" in platform.get("/docs/")[2], lambda building: not building, timeout_seconds=180)
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda request: complaints.append(request.url) if not request.url.startswith((platform.url, "data:")) else None)

    page.goto(f"{platform.url}/docs/troubleshooting/")
    width = page.evaluate("document.documentElement.scrollWidth")
    scheme = page.evaluate("document.body.dataset.mdColorScheme")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("button", name="Search").first.click()
    page.get_by_role("combobox", name="Search").or_(page.get_by_role("textbox", name="Search")).first.fill("heartbeat")
    page.get_by_role("option").filter(has_text="Concepts").first.click()
    page.wait_for_url("**/docs/concepts/**")
    page.close()

    assert (width <= 390, scheme, complaints) == (True, "slate", [])
