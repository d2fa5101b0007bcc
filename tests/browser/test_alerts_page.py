"""The page Alerts: a rule made from the tasks page raises an alert, which a member acknowledges, pauses and deletes the rule."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key
from tests.browser.test_explorer import AXE, AXE_RUN
from tests.browser.test_narrow_window import PHONE_PX, SIDEWAYS, TOO_WIDE_PX
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

FAILING = """
import ams

ams.init()
try:
    with ams.task("Nightly report"):
        raise ValueError("no data")
except ValueError:
    pass
assert ams.flush(30).complete
"""


def faults(page: Page) -> list[list[str]]:
    page.evaluate(AXE.read_text())
    return page.evaluate(AXE_RUN)


def make_rule(page: Page, pictures: Path) -> None:
    """Make a rule for the failed tasks that the tasks page shows, with a webhook to an address that is refused."""
    page.get_by_role("button", name="Saved views").click()
    page.get_by_role("link", name="Alert on this query…").click()
    dialog = page.get_by_role("dialog", name="New alert rule")
    expect(dialog.get_by_label("Query")).to_have_value("status:error")
    dialog.get_by_role("button", name="Save rule").click()
    expect(dialog.get_by_text("Enter a name.")).to_be_visible()
    dialog.get_by_label("Name").fill("Reports fail")
    dialog.get_by_label("At least (tasks)").fill("1")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_role("status")).to_contain_text("this rule would have raised an alert once", timeout=PATIENCE_MS)
    dialog.get_by_role("button", name="JSON").click()
    dialog.get_by_label("URL").fill("https://127.0.0.1/hook")
    page.screenshot(path=pictures / "form.png")
    assert faults(page) == []
    dialog.get_by_role("button", name="Save rule").click()
    expect(dialog.get_by_role("status")).to_contain_text("whsec_", timeout=PATIENCE_MS)
    dialog.get_by_role("button", name="Done").click()


def test_a_rule_made_from_the_tasks_page_raises_an_alert_that_is_acknowledged(page: Page, platform: Platform, tmp_path: Path) -> None:
    page.emulate_media(reduced_motion="reduce")
    with agent(platform, make_key(page), tmp_path, FAILING) as process:
        assert process.wait(60) == 0
    project = page.url.split("/projects/")[1].split("/")[0]
    page.goto(f"/projects/{project}/alerts")
    expect(page.get_by_text("No alerts, and no rules that could raise any.")).to_be_visible(timeout=PATIENCE_MS)
    page.goto(f"/projects/{project}/tasks?status=error")
    expect(page.get_by_role("link", name="Nightly report")).to_be_visible(timeout=PATIENCE_MS)

    make_rule(page, tmp_path)
    alert = page.get_by_role("list", name="Alerts").get_by_role("listitem")
    expect(alert).to_contain_text("Reports fail", timeout=PATIENCE_MS)
    expect(alert).to_contain_text("Webhook to be sent again: The host of the webhook has a private", timeout=PATIENCE_MS)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
        page.screenshot(path=tmp_path / f"{scheme}.png")
        assert faults(page) == [], scheme
    page.set_viewport_size({"width": PHONE_PX[0], "height": PHONE_PX[1]})
    assert page.evaluate(TOO_WIDE_PX) == 0
    assert page.evaluate(SIDEWAYS) == 0
    page.screenshot(path=tmp_path / "phone.png")
    page.set_viewport_size({"width": 1440, "height": 900})
    alert.get_by_role("button", name="Acknowledge Reports fail").click()
    expect(alert).to_contain_text("Acknowledged")
    alert.get_by_role("link", name="Tasks from").click()
    expect(page).to_have_url(re.compile("q=status%3Aerror"))
    page.go_back()

    page.get_by_role("button", name="Change Reports fail").click()
    page.get_by_role("button", name="Send a test").click()
    rules = page.get_by_role("region", name="Alert rules")
    expect(rules).to_contain_text("AMS_WEBHOOK_NETWORKS allows networks.", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Change Reports fail").click()
    page.get_by_role("button", name="Pause").click()
    expect(rules).to_contain_text("paused", timeout=PATIENCE_MS)
    expect(alert).to_contain_text("the rule was paused", timeout=PATIENCE_MS)
    page.keyboard.press("n")
    expect(page.get_by_role("dialog", name="New alert rule")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Change Reports fail").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("No rules yet.")).to_be_visible(timeout=PATIENCE_MS)
    expect(alert).to_contain_text("Reports fail")
