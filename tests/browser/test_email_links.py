"""The pages that a person reaches by email: a verified address and a forgotten password. Identity behind the gateway, with a real mail server."""

import contextlib
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from services.identity.tests.clients import NO_KAFKA, SERVICE_SECRET
from services.identity.tests.conftest import new_database, wait_until_ready
from tests.browser.conftest import collect_violations
from tests.browser.journeys import PATIENCE_MS
from tests.inbox import Inbox

from ams_identity.app import make_app
from ams_identity.migrations.run import migrate
from ams_identity.settings import Settings
from ams_kit.testing.serving import free_port, serving
from ams_kit.testing.valkey import ValkeyServer
from ams_local.servers.caddy import Caddy, Upstreams

EXPLORER = Path(__file__).parents[2] / "web" / "dist"
PASSWORD, NEW_PASSWORD = "a long and plain sentence", "another long and plain sentence"
VERIFY, RESET = "Confirm your email address", "Choose a new password"


@contextlib.contextmanager
def gateway(folder: Path, port: int, identity: int) -> Iterator[None]:
    """The explorer and identity under one address. No other service runs: these pages need none."""
    nobody = free_port()
    upstreams = Upstreams(identity=identity, intake=nobody, intake_grpc=nobody, query=nobody, live=nobody)
    caddy = Caddy(
        data=folder / "caddy", hosts=("127.0.0.1",), port=port, otlp_port=None, upstreams=upstreams,
        explorer=EXPLORER, wheels=folder, documentation=folder, public_url=f"http://localhost:{port}",
    )  # fmt: skip
    caddy.prepare()
    command = caddy.command()
    process = subprocess.Popen(command.argv, env=command.env, cwd=command.cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    inbox.start()
    yield inbox
    inbox.stop()


@pytest.fixture(scope="module")
def url(postgres_admin_url: str, inbox: Inbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    valkey, port = ValkeyServer(), free_port()
    valkey.start()
    public_url = f"http://localhost:{port}"
    with new_database(postgres_admin_url) as database_url:
        migrate(database_url)
        settings = Settings(
            public_url=public_url, database_url=database_url, redis_url=valkey.url, kafka_bootstrap=NO_KAFKA, service_secret=SERVICE_SECRET,
            secret_key="the secret of this run", trusted_proxies="127.0.0.1", smtp_host="127.0.0.1", smtp_port=inbox.port, smtp_security="none",
            smtp_from="AMS <ams@example.com>",
        )  # fmt: skip
        with serving(make_app(settings, now_s=time.time)) as identity:
            wait_until_ready(identity)
            with gateway(tmp_path_factory.mktemp("gateway"), port, urlsplit(identity).port or 0):
                yield public_url
    valkey.remove()


@pytest.fixture
def page(url: str, browser: Browser) -> Iterator[Page]:  # in this order: the database is made before Playwright's loop runs
    context = browser.new_context(base_url=url)
    context.set_default_timeout(PATIENCE_MS)
    violations = collect_violations(context)
    yield context.new_page()
    context.close()
    assert violations == []


@pytest.fixture
def name(page: Page) -> str:
    """The name of a person who registered."""
    name = f"u{uuid.uuid4().hex[:12]}"
    page.goto("/register")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Email").fill(address(name))
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/projects/**")
    return name


def address(name: str) -> str:
    return f"{name}@example.com"


def link_in(text: str, url: str) -> str:
    return url + text.partition(url)[2].partition(url)[2].split()[0]  # the first mention of the address is in the sentence


def test_a_person_verifies_the_email_address_by_the_link(page: Page, url: str, inbox: Inbox, name: str) -> None:
    page.goto("/account")
    expect(page.get_by_text("(not verified)")).to_be_visible()
    first = link_in(inbox.next_to(address(name), VERIFY), url)
    page.get_by_role("button", name="Send a link that verifies it").click()
    expect(page.get_by_text("A link is on its way. It works for a day.")).to_be_visible()
    inbox.next_to(address(name), VERIFY)

    page.goto(f"{url}/verify-email#broken")
    expect(page.get_by_role("alert")).to_be_visible()
    page.goto(f"{url}/verify-email")
    expect(page.get_by_role("alert")).to_have_text("This link is incomplete. Copy all of it.")
    page.goto(first)
    expect(page.get_by_role("status").filter(has_text="The email address is verified.")).to_be_visible()
    assert "#" not in page.url
    page.get_by_role("link", name="Go to your account").click()
    expect(page.get_by_text("(verified)")).to_be_visible()
    expect(page.get_by_role("button", name="Send a link that verifies it")).to_have_count(0)


def test_a_person_replaces_a_forgotten_password_by_the_link(page: Page, url: str, inbox: Inbox, name: str) -> None:
    page.goto(link_in(inbox.next_to(address(name), VERIFY), url))
    expect(page.get_by_role("status").filter(has_text="The email address is verified.")).to_be_visible()
    page.context.clear_cookies()

    page.goto("/signin")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("Username or email").fill("nobody-of-this-name")
    page.get_by_role("button", name="Send a link").click()
    sentence = page.get_by_role("status").filter(has_text="If this account exists").inner_text()
    page.goto("/forgot")
    page.get_by_label("Username or email").fill(address(name))
    page.get_by_role("button", name="Send a link").click()
    expect(page.get_by_role("status").filter(has_text=sentence)).to_be_visible()
    link = link_in(inbox.next_to(address(name), RESET), url)
    assert inbox.count() == 0

    page.goto(link)
    page.get_by_label("New password").fill("short")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("at least 12").first).to_be_visible()
    page.get_by_label("New password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("status").filter(has_text="Your password was changed")).to_be_visible()

    page.goto("/signin?next=/account")
    for password, seen in ((PASSWORD, page.get_by_role("alert")), (NEW_PASSWORD, page.get_by_text("(verified)"))):
        page.get_by_label("Username or email").fill(name)
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(seen.first).to_be_visible()
    page.goto(link)
    page.get_by_label("New password").fill("a third long and plain sentence")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("alert").first).to_be_visible()
