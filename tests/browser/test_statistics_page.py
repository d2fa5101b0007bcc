"""The pages of statistics and agents: figures from rollups, charts of one group, and the way to the tasks."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, resume, task_id_of
from tests.browser.test_explorer import AXE, AXE_RUN
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]


@pytest.fixture
def sent(page: Page, platform: Platform, tmp_path: Path) -> None:
    """One task with an agent, two calls of a tool, of which one failed, and a call of a model."""
    with agent(platform, make_key(page), tmp_path) as process:
        task_id_of(process)
        resume(process)
        resume(process)
        assert process.wait(60) == 0
    expect(page.get_by_role("link", name="Weather report")).to_be_visible(timeout=PATIENCE_MS)


@pytest.mark.usefixtures("sent")
def test_statistics_are_grouped_narrowed_and_lead_to_tasks(page: Page) -> None:
    page.get_by_role("link", name="Statistics").click()
    expect(page.get_by_role("img", name="Steps, 20 % failed over time: 5")).to_be_visible(timeout=PATIENCE_MS)

    page.get_by_role("button", name="Tool", exact=True).click()
    row = page.get_by_role("row").filter(has=page.get_by_role("button", name="lookup"))
    expect(row.get_by_role("cell").nth(1)).to_have_text("2", timeout=PATIENCE_MS)
    expect(row.get_by_role("cell").nth(2)).to_have_text("1")
    row.get_by_role("button", name="lookup").click()
    expect(page.get_by_role("img", name="Steps, 50 % failed over time: 2")).to_be_visible(timeout=PATIENCE_MS)
    page.reload()
    expect(page.get_by_role("button", name="Tool: lookup")).to_be_visible(timeout=PATIENCE_MS)

    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert download.value.suggested_filename == "tool-7d.csv"
    assert lines[0].startswith("tool,steps,errors,")
    assert any(line.startswith("lookup,2,1,") for line in lines)

    row.get_by_role("link", name="Tasks").click()
    expect(page.get_by_role("link", name="Weather report")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_label("Search tasks")).to_have_value('"lookup"')


@pytest.mark.usefixtures("sent")
def test_groups_are_sorted_by_the_column_that_is_clicked(page: Page) -> None:
    page.get_by_role("link", name="Statistics").click()
    page.get_by_role("button", name="Step type", exact=True).click()
    table = page.get_by_role("table")
    types = table.locator("tbody tr td:first-child")
    expect(types.filter(has_text="tool")).to_be_visible(timeout=PATIENCE_MS)
    by_steps = types.all_inner_texts()
    assert by_steps[0] == "tool"
    head = table.get_by_role("columnheader").first

    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    expect(types).to_have_text(sorted(by_steps))
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(types).to_have_text(sorted(by_steps, reverse=True))
    table.get_by_role("button", name="Errors").click()
    expect(types.first).to_have_text("tool")
    expect(head).not_to_have_attribute("aria-sort", re.compile("."))


@pytest.mark.usefixtures("sent")
def test_agents_show_how_they_did(page: Page) -> None:
    page.get_by_role("link", name="Agents").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="guide"))
    expect(row.get_by_role("cell").nth(3)).to_have_text("1", timeout=PATIENCE_MS)
    expect(row.get_by_role("cell").nth(4)).to_have_text("100 %")

    row.get_by_role("link", name="guide").click()

    expect(page.get_by_role("link", name="Weather report")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_label("Search tasks")).to_have_value("agent:guide")


@pytest.mark.usefixtures("sent")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_statistics_and_agents_have_no_accessibility_violation(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")

    page.get_by_role("link", name="Statistics").click()
    expect(page.get_by_role("button", name="guide")).to_be_visible(timeout=PATIENCE_MS)
    page.evaluate(AXE.read_text())
    assert page.evaluate(AXE_RUN) == []
    page.get_by_role("link", name="Agents").click()
    expect(page.get_by_role("link", name="guide")).to_be_visible(timeout=PATIENCE_MS)
    assert page.evaluate(AXE_RUN) == []


OF_TWO_USERS = """
import ams

ams.init()
for user, env in (("ann", "prod"), ("ann", "test"), ("bob", "prod")):
    with ams.task("Ask", user_id=user, tags={"env": env}) as task:
        print(task.task_id, flush=True)
assert ams.flush(30).complete
"""


def test_tasks_are_grouped_by_user_and_tag_and_lead_to_the_tasks(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, OF_TWO_USERS) as process:
        task_id_of(process)
        assert process.wait(60) == 0
    expect(page.get_by_role("link", name="Ask", exact=True).nth(2)).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("link", name="Statistics").click()
    page.get_by_role("button", name="User", exact=True).click()
    expect(page.get_by_role("img", name="Tasks, 0 % failed over time: 3")).to_be_visible(timeout=PATIENCE_MS)

    page.get_by_role("button", name="ann", exact=True).click()
    expect(page.get_by_role("img", name="Tasks, 0 % failed over time: 2")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Tag", exact=True).click()
    row = page.get_by_role("row").filter(has=page.get_by_role("button", name="env: prod"))
    expect(row.get_by_role("cell").nth(1)).to_have_text("2", timeout=PATIENCE_MS)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    assert "env,prod,2,0," in download.value.path().read_text(encoding="utf-8")
    row.get_by_role("link", name="Tasks").click()

    expect(page.get_by_label("Search tasks")).to_have_value("tag.env:prod")
    expect(page.get_by_role("link", name="Ask", exact=True)).to_have_count(2, timeout=PATIENCE_MS)
