"""Signing in by a real OpenID provider in the browser: the first visit, the second one, the account page, and signing out on both sides."""

import re
import secrets
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.journeys import PATIENCE_MS, register
from tests.browser.test_narrow_window import faults_on_a_phone
from tests.installation import Platform
from tests.openid_provider import OpenIdProvider, openid_providers

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def provider(platform: Platform) -> Iterator[OpenIdProvider]:
    with openid_providers([platform.provider]):
        yield platform.provider


@pytest.fixture
def page(browser: Browser, platform: Platform) -> Iterator[Page]:
    """A page of nobody; errors of the page fail the test."""
    errors: list[str] = []
    context = browser.new_context(base_url=platform.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def new_person_at(provider: OpenIdProvider) -> str:
    name = f"b{secrets.token_hex(5)}"
    provider.put(name, email=f"{name}@example.com", email_verified=True)
    return name


def wait_for_sign_in_at(page: Page, provider: OpenIdProvider) -> None:
    page.wait_for_url(f"{provider.issuer}/**")  # the platform's own sign-in page has fields of the same names
    expect(page.locator("[name=login]")).to_be_visible()


def sign_in_at_the_provider(page: Page, provider: OpenIdProvider, name: str) -> None:
    wait_for_sign_in_at(page, provider)
    page.locator("[name=login]").fill(name)
    page.locator("[name=password]").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def test_a_person_signs_in_with_a_provider_comes_back_and_signs_out(page: Page, provider: OpenIdProvider) -> None:
    name = new_person_at(provider)
    page.goto("/account")
    expect(page.get_by_role("button", name="Continue with Acme")).to_be_visible(timeout=PATIENCE_MS)
    assert faults_on_a_phone(page) == []
    page.get_by_role("button", name="Continue with Acme").click()
    sign_in_at_the_provider(page, provider, name)

    expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    assert "code=" not in page.url
    expect(page.get_by_text(f"Signed in as {name}")).to_be_visible()
    expect(page.get_by_role("region", name="Sign-in providers").get_by_role("cell", name=f"{name}@example.com")).to_be_visible()
    expect(page.get_by_role("region", name="Password")).to_have_count(0)
    page.get_by_role("button", name="Unlink Acme").click()
    expect(page.get_by_text("This is the only way into your account.")).to_be_visible()

    page.context.clear_cookies(name="ams_refresh")
    page.goto("/")
    page.get_by_role("button", name="Continue with Acme").click()  # the provider remembers the person
    expect(page.get_by_role("heading", name="Send your first task")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Account").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    page.wait_for_url(re.compile(r"/signin"))
    page.get_by_role("button", name="Continue with Acme").click()
    wait_for_sign_in_at(page, provider)  # signed out there, too


def test_a_person_links_a_provider_and_a_refusal_is_explained(page: Page, provider: OpenIdProvider) -> None:
    register(page)
    page.goto("/account")
    region = page.get_by_role("region", name="Sign-in providers")
    region.get_by_role("button", name="Link Acme").click()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("Acme did not sign you in")
    page.get_by_role("link", name="Back").click()

    region.get_by_role("button", name="Link Acme").click()
    name = new_person_at(provider)
    sign_in_at_the_provider(page, provider, name)
    expect(region.get_by_role("cell", name=f"{name}@example.com")).to_be_visible()
    region.get_by_role("button", name="Unlink Acme").click()
    expect(region.get_by_role("button", name="Link Acme")).to_be_visible()
