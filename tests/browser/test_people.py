"""The pages of the account, of a project's people, and of its audit log."""

import json
import re
import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.journeys import PATIENCE_MS, register
from tests.client import Account
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

PASSWORD = "a long and plain sentence"


def another_person(browser: Browser, platform: Platform) -> Page:
    context = browser.new_context(base_url=platform.url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    return context.new_page()


def project_of(page: Page) -> str:
    return page.url.split("/projects/")[1].split("/")[0]


def test_the_form_shows_the_rule_of_the_service_and_every_fault(browser: Browser, platform: Platform) -> None:
    page = another_person(browser, platform)
    page.goto("/register")
    expect(page.get_by_text("At least 12 characters")).to_be_visible()

    page.get_by_label("Username").fill("-")
    page.get_by_label("Email").fill("nobody")
    page.get_by_label("Password").fill("Summer2026!!")
    page.get_by_role("button", name="Create account").click()

    expect(page.get_by_text("A username has 2 to 64 letters")).to_be_visible()
    expect(page.get_by_text("The email address is not valid.")).to_be_visible()
    expect(page.get_by_text("The password is a common one.")).to_be_visible()
    page.context.close()


def test_a_link_that_does_not_work_says_so_and_leaves_the_address(browser: Browser, platform: Platform) -> None:
    page = another_person(browser, platform)
    page.goto(f"/reset#{'x' * 32}")
    expect(page.get_by_role("heading", name="Choose a new password")).to_be_visible()
    assert page.url.endswith("/reset")

    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_role("button", name="Change password").click()

    expect(page.get_by_text("This link was used already, was replaced, or has expired.")).to_be_visible()
    page.context.close()


def test_an_invited_person_registers_and_joins_the_project(page: Page, browser: Browser, platform: Platform) -> None:
    project = project_of(page)
    page.get_by_role("link", name="People").click()
    page.get_by_label("Role of the invited person").select_option("viewer")
    page.get_by_role("button", name="Create invitation").click()
    link = page.get_by_role("status").get_by_text("/invitation#").inner_text()

    guest = another_person(browser, platform)
    guest.goto(link)
    expect(guest.get_by_role("heading", name="Sign in")).to_be_visible()
    guest.get_by_role("link", name="Create an account").click()
    guest.get_by_label("Username").fill("guest-of-a-project")
    guest.get_by_label("Email").fill("guest-of-a-project@example.org")
    guest.get_by_label("Password").fill(PASSWORD)
    guest.get_by_role("button", name="Create account").click()
    expect(guest.get_by_text("invites you to the project")).to_be_visible()
    guest.get_by_role("button", name="Join the project").click()
    guest.wait_for_url(f"**/projects/{project}/tasks")
    kept = "() => sessionStorage.getItem('ams.invitation')"
    assert guest.evaluate(kept) is None
    guest.goto(link)
    expect(guest.get_by_text("This invitation was accepted or withdrawn")).to_be_visible()
    assert guest.evaluate(kept) is None

    page.reload()
    row = page.get_by_role("row").filter(has_text="guest-of-a-project")
    expect(row.get_by_role("combobox")).to_have_value("viewer")
    row.get_by_role("combobox").select_option("owner")
    expect(row.get_by_role("combobox")).to_have_value("owner")
    row.get_by_role("button", name="Remove guest-of-a-project").click()
    row.get_by_role("button", name="Remove member").click()
    expect(row).to_have_count(0)
    guest.reload()
    expect(guest.get_by_text("project").first).to_be_visible()
    guest.context.close()


def test_an_owner_reads_and_exports_the_audit_log(page: Page) -> None:
    page.goto(f"/projects/{project_of(page)}/people")
    page.get_by_role("link", name="Audit log").click()
    expect(page.get_by_role("cell", name="project.created")).to_be_visible()

    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()

    lines = Path(download.value.path()).read_text().splitlines()
    assert "project.created" in [json.loads(line)["action"] for line in lines]


def test_a_person_ends_another_session_and_changes_the_password(page: Page, browser: Browser, platform: Platform) -> None:
    page.get_by_role("button", name="Account").click()
    name = page.locator(".menu-note strong").inner_text()
    page.get_by_role("button", name="Account", exact=True).last.click()
    expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()
    other = another_person(browser, platform)
    other.goto("/signin")
    other.get_by_label("Username or email").fill(name)
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    other.wait_for_url("**/projects/**")

    page.reload()
    page.get_by_role("button", name="End all other sessions").click()
    expect(page.get_by_role("button", name="End all other sessions")).to_have_count(0)
    other.reload()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    other.context.close()

    form = page.get_by_role("form", name="Change password")
    form.get_by_label("Current password").fill(PASSWORD)
    form.get_by_label("New password").fill("password1234")
    form.get_by_role("button", name="Change password").click()
    expect(form.get_by_text("The password is a common one.")).to_be_visible()
    form.get_by_label("New password").fill("another plain and long sentence")
    form.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Password changed.")).to_be_visible()


def test_a_person_deletes_the_account(browser: Browser, platform: Platform) -> None:
    Account(platform.url)  # the first person administers, and keeps the account
    page = another_person(browser, platform)
    register(page)
    page.goto("/account")
    form = page.get_by_role("form", name="Delete my account")
    form.get_by_label("Current password").fill("not the password")
    form.get_by_role("button", name="Delete my account").click()
    expect(form.get_by_text("The current password is wrong.")).to_be_visible()

    form.get_by_label("Current password").fill(PASSWORD)
    form.get_by_role("button", name="Delete my account").click()

    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.context.close()


@pytest.mark.parametrize(
    "path", ["/account", "/nothing-here", "/t/0af7651916cd43dd8448eb211c80319c", f"/projects/{uuid.UUID(int=7)}/tasks"]
)
def test_a_page_outside_a_project_leads_to_the_projects_and_to_the_account(page: Page, path: str) -> None:
    page.goto(path)
    page.get_by_role("button", name="Account", exact=True).click(timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Switch project").click()
    page.get_by_role("link", name="'s project").click()

    expect(page).to_have_url(re.compile("/projects/[^/]+/tasks$"), timeout=PATIENCE_MS)
