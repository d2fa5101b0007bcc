"""Text from a trace never stops the page: it is drawn as Markdown, JSON or code where that ends in time, and as it is otherwise."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect
from tests.browser.journeys import PATIENCE_MS, agent, make_key, resume, row, task_id_of
from tests.installation import Platform, until

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

# what a person would call a hang; `tests/load/bench_explorer.py` measures the longest task of the main thread
HANG_MS = 2_000
LONG_TASKS = """
window.longTasks = [];
new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: 'longtask' });
"""
NAMES = (
    "links", "blanks", "quotes", "lists", "emphasis", "table", "one line", "lines", "deep json", "wide json", "long list", "messages", "cut json",
)  # fmt: skip
SIZES = (1_500, 3_000, 20_000)
HOSTILE = """
import json

import ams

ams.init()

TEXTS = {
    "links": lambda n: "[a](b" * n,
    "blanks": lambda n: "# a" + " " * n + "b",
    "quotes": lambda n: ">" * n + " a",
    "lists": lambda n: "\\n".join(" " * min(n, 300) + "- x" for n in range(n)),
    "emphasis": lambda n: "*a **b " * n,
    "table": lambda n: "|a" * n + "\\n" + "|-" * n + "\\n" + "|b\\n" * 100,
    "one line": lambda n: "x" * (40 * n),
    "lines": lambda n: "a\\n" * (20 * n),
    "deep json": lambda n: "[" * (4 * n) + "]" * (4 * n),
    "wide json": lambda n: json.dumps({f"k{i}": i for i in range(2 * n)}),
    "long list": lambda n: json.dumps(list(range(8 * n))),
    "messages": lambda n: json.dumps([{"role": "user", "content": [{"type": "text", "text": "hi"}]}] * n),
    "cut json": lambda n: '{"a":' * (6 * n),
}
with ams.task("hostile") as task:
    print(task.task_id, flush=True)
    for name, text in TEXTS.items():
        for size in (1_500, 3_000, 20_000):
            with ams.step(f"{name} {size}", type="llm", input="BEGIN " + name) as step:
                step.output = text(size)
                if "json" in name:
                    step.input = json.loads(text(size)) if name == "wide json" else text(size)
    assert ams.flush(30).complete
    with ams.llm("live", input="go") as step:
        input()
        step.delta("[a](b" * 3_000)
        input()
        step.delta("and the end")
        input()
        step.output = "done"
assert ams.flush(30).complete
"""


def test_hostile_text_does_not_stop_the_page(page: Page, platform: Platform, tmp_path: Path) -> None:
    page.add_init_script(LONG_TASKS)
    with agent(platform, make_key(page), tmp_path, HOSTILE) as process:
        task = task_id_of(process)
        page.goto(f"/t/{task}")
        row(page, "live").click(timeout=PATIENCE_MS)
        resume(process)
        expect(page.get_by_text("Output (streaming)")).to_be_visible(timeout=PATIENCE_MS)
        resume(process)
        expect(page.locator(".stream-text")).to_contain_text("and the end", timeout=PATIENCE_MS)
        resume(process)
        assert process.wait(60) == 0
        # some 10 MB of payloads come before this one
        expect(page.locator("#detail").get_by_text("done")).to_be_visible(timeout=6 * PATIENCE_MS)
    heading = page.locator("#detail h2")
    longest = {"live": max([0, *page.evaluate("window.longTasks.splice(0)")])}
    for _ in range(len(NAMES) * len(SIZES)):
        page.keyboard.press("k")
        expect(page.locator("#detail .detail-ghost")).to_have_count(0, timeout=PATIENCE_MS)
        expect(page.locator("#detail .section-body").first).not_to_be_empty(timeout=PATIENCE_MS)
        page.wait_for_timeout(150)  # for what the worker answers
        longest[heading.inner_text()] = max([0, *page.evaluate("window.longTasks.splice(0)")])
    assert len(longest) == 1 + len(NAMES) * len(SIZES)
    assert {name: ms for name, ms in longest.items() if ms > HANG_MS} == {}


MARKDOWN = """
import ams

ams.init()
with ams.task("words") as task:
    print(task.task_id, flush=True)
    with ams.llm("first", input="go") as step:
        step.output = "It is **21** degrees"
    with ams.llm("second", input="go") as step:
        step.output = "It is **22** degrees"
assert ams.flush(30).complete
"""


def test_a_worker_that_takes_too_long_is_ended_and_the_text_is_shown_as_it_is(page: Page, platform: Platform, tmp_path: Path) -> None:
    with agent(platform, make_key(page), tmp_path, MARKDOWN) as process:
        task = task_id_of(process)
        assert process.wait(60) == 0
    scripts = 0

    def endless_at_first(route: Route) -> None:
        nonlocal scripts
        scripts += 1
        if scripts == 1:
            route.fulfill(content_type="text/javascript", body="postMessage({ ready: true }); onmessage = () => { for (;;); };")
        else:
            route.continue_()

    page.context.route("**/assets/text.worker-*.js", endless_at_first)
    page.goto(f"/t/{task}")
    row(page, "first").click(timeout=PATIENCE_MS)

    output = page.locator("#detail .section-body").first
    expect(output).to_contain_text("It is **21** degrees", timeout=PATIENCE_MS)
    row(page, "second").click()

    expect(output.locator("strong")).to_have_text("22", timeout=PATIENCE_MS)
    assert scripts == 2

    def has_one_worker() -> bool:
        page.wait_for_timeout(100)
        return len(page.workers) == 1

    until(has_one_worker, 20, "the browser has ended the first worker")
