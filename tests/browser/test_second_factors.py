"""Second factors in the browser: an authenticator app, a passkey of a virtual authenticator, the confirmation of a dangerous action, and a project that requires a factor."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pyotp
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.browser.journeys import PATIENCE_MS, register
from tests.browser.test_narrow_window import faults_on_a_phone
from tests.faults.account import postgres_url
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

PASSWORD = "a long and plain sentence"


def with_authenticator(page: Page) -> Page:
    """Give the page's browser an authenticator that verifies its user without a person."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return page


@pytest.fixture
def person(browser: Browser, platform: Platform) -> Iterator[Page]:
    """A page of a new person whose browser has an authenticator."""
    context = browser.new_context(base_url=platform.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = with_authenticator(context.new_page())
    register(page)
    yield page
    context.close()


def factors(page: Page) -> Locator:
    return page.get_by_role("region", name="Two-step verification")


def sign_out(page: Page) -> None:
    page.context.clear_cookies(name="ams_refresh")
    page.goto("/signin")


def make_sign_ins_old(platform: Platform, username: str) -> None:
    """Move the last proof of a person's sessions to six minutes ago."""

    async def update() -> None:
        connection = await asyncpg.connect(postgres_url(platform, "ams_identity"))
        sql = "update sessions set proved_at = proved_at - interval '6 minutes' where user_id = (select id from users where username = $1)"
        await connection.execute(sql, username)
        await connection.close()

    with ThreadPoolExecutor(1) as thread:  # this one runs the event loop of the browser
        thread.submit(asyncio.run, update()).result()


def test_a_person_signs_in_with_an_app_and_confirms_a_dangerous_action(person: Page, platform: Platform) -> None:
    project = person.url.split("/projects/")[1].split("/")[0]
    person.get_by_role("button", name="Account").click()
    name = person.locator(".menu-note strong").inner_text()
    person.goto("/account")
    factors(person).get_by_role("button", name="Add an authenticator app").click()
    expect(person.get_by_role("img", name="QR code")).to_be_visible()
    assert faults_on_a_phone(person) == []
    secret = person.locator(".app-secret").inner_text().split()[0]
    form = factors(person).get_by_role("form", name="Add the app")
    form.get_by_label("Code").fill("000000")
    form.get_by_role("button", name="Add the app").click()
    expect(form.get_by_text("The code is wrong.")).to_be_visible()
    form.get_by_label("Code").fill(pyotp.TOTP(secret).now())
    form.get_by_role("button", name="Add the app").click()
    expect(factors(person).get_by_text("Keep these recovery codes now.")).to_be_visible()
    codes = factors(person).get_by_role("listitem").all_inner_texts()
    assert len(codes) == 10

    sign_out(person)
    person.get_by_label("Username or email").fill(name)
    person.get_by_label("Password").fill(PASSWORD)
    person.get_by_role("button", name="Sign in", exact=True).click()
    expect(person.get_by_role("heading", name="Second step")).to_be_visible()
    assert faults_on_a_phone(person) == []
    person.get_by_label("Code").fill("000000")
    person.get_by_role("button", name="Continue").click()
    expect(person.get_by_text("The code is wrong or was used already.")).to_be_visible()
    person.get_by_label("Code").fill(codes[0])
    person.get_by_role("button", name="Continue").click()
    person.wait_for_url(f"**/projects/{project}/tasks")

    make_sign_ins_old(platform, name)
    person.goto("/account")
    factors(person).get_by_role("button", name="Make new recovery codes").click()
    dialog = person.get_by_role("dialog", name="Confirm that it is you")
    expect(dialog.get_by_label("Code")).to_be_visible()
    assert faults_on_a_phone(person) == []
    dialog.get_by_label("Code").fill(codes[1])
    person.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(factors(person).get_by_text("Keep these recovery codes now.")).to_be_visible()


def test_a_person_signs_in_with_a_passkey_and_a_project_requires_it(person: Page, browser: Browser, platform: Platform) -> None:
    project = person.url.split("/projects/")[1].split("/")[0]
    person.goto("/account")
    factors(person).get_by_role("button", name="Add a passkey").click()
    person.get_by_label("Name of the passkey").fill("Laptop")
    person.keyboard.press("Enter")
    expect(factors(person).get_by_role("cell", name="Laptop", exact=True)).to_be_visible()
    expect(factors(person).get_by_text("Keep these recovery codes now.")).to_be_visible()
    factors(person).get_by_role("button", name="Rename Laptop").click()
    person.get_by_label("New name of Laptop").fill("Work laptop")
    person.keyboard.press("Enter")
    expect(factors(person).get_by_role("cell", name="Work laptop", exact=True)).to_be_visible()

    sign_out(person)
    person.get_by_role("button", name="Use a passkey").click()
    person.wait_for_url(f"**/projects/{project}/tasks")

    person.goto(f"/projects/{project}/people")
    person.get_by_role("button", name="Create invitation").click()
    link = person.get_by_role("status").get_by_text("/invitation#").inner_text()
    person.get_by_label("Require a second factor").click()  # it shows what the service answered, so not at once
    expect(person.get_by_label("Require a second factor")).to_be_checked()

    context = browser.new_context(base_url=platform.url, viewport={"width": 390, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    guest = with_authenticator(context.new_page())
    register(guest)
    guest.goto(link)
    guest.get_by_role("button", name="Join the project").click()
    expect(guest.get_by_role("heading", name="This project requires a second factor")).to_be_visible()
    guest.get_by_role("link", name="Go to your account").click()
    factors(guest).get_by_role("button", name="Add a passkey").click()
    guest.get_by_label("Name of the passkey").fill("Phone")
    guest.keyboard.press("Enter")
    expect(factors(guest).get_by_text("Keep these recovery codes now.")).to_be_visible()
    guest.goto(f"/projects/{project}/tasks")
    expect(guest.get_by_role("heading", name="Send your first task")).to_be_visible()
    context.close()
