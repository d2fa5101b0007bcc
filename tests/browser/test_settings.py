"""The pages of a project's settings and keys, and the page of the installation's administration."""

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.journeys import PATIENCE_MS, register
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]


@pytest.fixture
def administrator(browser: Browser, platform: Platform) -> None:
    """The first account of a platform is its administrator: the user of the test is another one."""
    context = browser.new_context(base_url=platform.url)
    register(context.new_page())
    context.close()


@pytest.mark.usefixtures("administrator")
def test_an_owner_limits_the_project_makes_keys_and_deletes_it(page: Page, platform: Platform) -> None:
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Name of the project", exact=True).fill("Shop")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_text("Name changed")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_label("Events per minute").fill("many")
    expect(page.get_by_role("button", name="Save quota")).to_be_disabled()
    page.get_by_label("Events per minute").fill("500")
    page.get_by_label("MB per day").fill("20")
    page.get_by_role("button", name="Save quota").click()
    expect(page.get_by_text("of 500", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_label("Days that tasks are kept").fill("7")
    page.get_by_role("button", name="Save retention").click()
    expect(page.get_by_text("Retention changed")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("checkbox", name="Mask secrets").click()
    expect(page.get_by_text("Masking changed")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("checkbox", name="Mask secrets")).not_to_be_checked()

    page.get_by_role("navigation", name="Project").get_by_role("link", name="API keys").click()
    page.get_by_label("Name of the service account").fill("CI of the shop")
    page.get_by_role("button", name="Create service account").click()
    page.get_by_label("Owner of the key").select_option(label="Belongs to CI of the shop")
    page.get_by_label("Name of the new key").fill("ci")
    page.get_by_label("Scope", exact=True).select_option("both")
    page.get_by_label("Expiry").select_option("90")
    page.get_by_label("Addresses or networks").fill("10.0.0.1/8")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_text("An entry is no address or network.")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_label("Addresses or networks").fill("10.0.0.0/8, 192.0.2.7")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_text("only from 10.0.0.0/8, 192.0.2.7/32")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Rotate the key ci").click()
    page.get_by_role("button", name="Create new key").click()
    expect(page.get_by_text("replaced; ends soon")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("row", name="CI of the shop").filter(has_text="ingest, read")).to_have_count(2)

    page.goto("/administration")
    expect(page.get_by_text("Only an administrator of this installation can use this page.")).to_be_visible(timeout=PATIENCE_MS)
    page.goto("/")
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Name of the project to delete").fill("Shop")
    page.get_by_role("button", name="Delete project").click()
    expect(page.get_by_text("Project deleted")).to_be_visible(timeout=PATIENCE_MS)
