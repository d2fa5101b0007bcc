"""Every view of a task of 100,000 steps in a browser, open while the task grows. JSON lines, one for each view.

    python -m tests.load.bench_tabs [--steps 100000] [--url URL] [--only NAME ...]

Posts two equal tasks, then opens each view of the first one in a headless Chromium: ``first_screen_ms`` counts from the navigation until
its contents are painted (best of three), ``select_ms`` from a click or key until the selection is painted, ``heap_mb`` is the page's after
a garbage collection. ``frame_ms`` is of a scroll through the view, or of the view's own motion, while nothing arrives, and ``growing`` of
the same while some hundred steps a second arrive; ``live_ms`` is how long after the last one was stored the head shows all of them.
Frames are drawn by the processor here: ``blank`` is what an empty page that scrolls takes in the same run, and a view may take 3.3 ms more
(20 of 16.7). Next to each time by the clock is the processor time of the page's main thread (``cpu_ms``). It alone is compared with the
targets when the machine is busy with other work (a load above its processors): then the clock says how long the others took.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
from msgspec import Struct
from playwright.sync_api import Browser, Page, sync_playwright
from tests.chromium import find_chromium
from tests.installation import Platform
from tests.load.bench_explorer import LOOK_SECONDS, PATIENCE_MS, SHOWN, TASK, Reader, Thread, quantile
from tests.load.bench_ingest import emit
from tests.load.bench_large import bodies, post_all

FIRST_SCREEN_MS, SELECT_MS, HEAP_MB, FRAME_OVER_BLANK_MS, CPU_A_FRAME_MS = 1_500, 100, 300, 3.3, 16.7
OPENINGS = 3
OTHER_TASK = "c4" * 16
PER_REQUEST, GROWING_PER_REQUEST = 500, 25
GROWING_STEPS, STEPS_PER_SECOND = 1_000, 250
FRAMES = 150
LEFT_STEPS = "() => Number(document.querySelector('.compare-totals tbody td:nth-child(3)')?.textContent.replace(/\\D/g, '') ?? 0)"

# when what a selector names is painted first, by the page's own clock
WATCH = """
globalThis.painted = 0;
globalThis.awaitPainted = (selector) => {
    const look = () => {
        if (document.querySelector(selector) === null) return void setTimeout(look, 4);
        requestAnimationFrame(() => setTimeout(() => { globalThis.painted = performance.now(); }, 0));
    };
    look();
};
"""
# moves something in every frame; how long each frame took
MOVE = """([selector, how, frames]) => new Promise((done) => {
    const element = document.querySelector(selector);
    const box = element.getBoundingClientRect();
    const times = [];
    let last = performance.now();
    const move = (now) => {
        times.push(now - last);
        last = now;
        if (how === 'scroll') element.scrollTop += 120;
        if (how === 'jump') element.scrollTop = (element.scrollTop + 20_000) % (element.scrollHeight || 1);
        if (how === 'point') element.dispatchEvent(new PointerEvent('pointermove', {
            bubbles: true, clientX: box.left + times.length * 3 % box.width, clientY: box.top + 20}));
        if (how === 'key .') window.dispatchEvent(new KeyboardEvent('keydown', {key: '.', bubbles: true}));
        if (times.length < frames) requestAnimationFrame(move); else done(times.slice(1));
    };
    requestAnimationFrame(move);
})"""
# a click or a key, until what it causes is painted
SELECT = """([selector, key, caused]) => new Promise((done) => {
    const before = document.querySelector(caused)?.outerHTML;
    const began = performance.now();
    const target = document.querySelector(selector);
    if (key === null) target.click();
    else target.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
    const look = () => {
        const after = document.querySelector(caused)?.outerHTML;
        if (after === undefined || after === before) return void setTimeout(look, 0);
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - began), 0));
    };
    look();
})"""
BLANK = "data:text/html,<div id=far style='height:600px;overflow:auto'><div style='height:1000000px'></div></div>"


class View(Struct, frozen=True, kw_only=True):
    """One view, and what a reader does in it.

    Attributes:
        query: Of the task's address; the comparison has an address of its own.
        ready: The selector of its contents.
        moved: The selector of what moves.
        how: ``scroll``, ``jump`` far, ``point`` along it, or a key.
        select: The selector of what is clicked, or that receives ``key``.
        selected: The selector of what changes then.
        shown: Of how many steps it is, by the page; None where the page shows the past.
    """

    name: str
    query: str
    ready: str
    moved: str
    how: str = "scroll"
    select: str
    key: str | None = None
    selected: str
    shown: str | None = SHOWN

    def path(self, project: str) -> str:
        if self.name == "compare":
            return f"/projects/{project}/compare?left={TASK}&right={OTHER_TASK}"
        return f"/projects/{project}/tasks/{TASK}?{self.query}"


STEPS = "[role=treegrid]"
ROW = f"{STEPS} .step-row:nth-child(9)"
SELECTED_ROW = f"{STEPS} .step-row[aria-selected=true]"
VIEWS = (
    View(name="steps", query="", ready=f"{STEPS} .step-row", moved=STEPS, select=ROW, selected=SELECTED_ROW),
    View(name="steps, far", query="", ready=f"{STEPS} .step-row", moved=STEPS, how="jump", select=ROW, selected=SELECTED_ROW),
    View(name="log", query="view=log", ready=".step-row", moved=".step-grid", select=".step-row:nth-child(9)", selected=".step-row[aria-selected=true]"),
    View(
        name="conversation", query="tab=conversation", ready=".turn-card:not(:has(.turn-ghost))", moved=".conversation-scroller",
        select=".turn-place:nth-child(3) .turn-name", selected=".turn-card[aria-current=true]",
    ),
    View(name="graph", query="tab=graph", ready=".graph-node", moved=STEPS, select=".graph-node", selected=".graph-node[aria-pressed=true]"),
    View(
        name="activity", query="tab=activity", ready=".activity-area canvas", moved=".activity-area", how="point", select=ROW, selected=SELECTED_ROW,
    ),
    View(name="delivery", query="tab=delivery", ready=".delivery-verdict", moved=".delivery-tab", select="", selected=""),
    View(
        name="time travel", query="at=now", ready=".time-travel input:enabled", moved=STEPS, how="key .",
        select="body", key=",", selected=".time-travel-place", shown=None,
    ),
    View(name="search inside", query="find=question", ready=f"{STEPS} .step-row.hit", moved=STEPS, select=ROW, selected=SELECTED_ROW),
    View(name="compare", query="", ready=".compare-row[data-difference]", moved=".compare-grid", select=".compare-row:nth-child(9)", selected=".compare-row[aria-selected=true]", shown=LEFT_STEPS),
)  # fmt: skip


@contextmanager
def growing(reader: Reader, first: int) -> Generator[None]:
    """While the block runs, and until all are sent, steps arrive at a steady rate."""

    def post() -> None:
        headers = {"Authorization": f"Bearer {reader.key}", "Content-Type": "application/x-protobuf"}
        due = time.perf_counter()
        with httpx.Client(base_url=reader.url, headers=headers, timeout=60) as http:
            for body in bodies(TASK, first, first + GROWING_STEPS, GROWING_PER_REQUEST):
                time.sleep(max(0.0, due - time.perf_counter()))
                due += GROWING_PER_REQUEST / STEPS_PER_SECOND
                while http.post("/v1/traces", content=body).is_error:
                    time.sleep(LOOK_SECONDS)

    posting = threading.Thread(target=post)
    posting.start()
    yield
    posting.join()


class Measured(Struct, frozen=True):
    """A time by the clock, and what the page's main thread worked."""

    clock_ms: float
    cpu_ms: float


def task_ms(thread: Thread) -> float:
    return thread.milliseconds()["Task"]


def opened(reader: Reader, view: View) -> tuple[Page, Thread, Measured]:
    """The page of a view, and the time until its contents were painted."""
    page = reader.context.new_page()
    page.add_init_script(f"{WATCH}; awaitPainted({view.ready!r})")
    thread = Thread(reader.context.new_cdp_session(page))
    page.goto(view.path(reader.project))
    page.wait_for_function("globalThis.painted > 0", timeout=PATIENCE_MS)
    return page, thread, Measured(round(page.evaluate("globalThis.painted")), round(task_ms(thread)))


def frames(page: Page, thread: Thread, view: View) -> dict[str, float]:
    before = task_ms(thread)
    times = page.evaluate(MOVE, [view.moved, view.how, FRAMES])
    cpu = round((task_ms(thread) - before) / FRAMES, 1)
    return {"p50": quantile(times, 0.5), "p95": quantile(times, 0.95), "max": round(max(times), 1), "cpu_ms": cpu}


def select(page: Page, thread: Thread, view: View) -> Measured:
    """From the click or the key until the selection is painted."""
    before = task_ms(thread)
    clock = page.evaluate(SELECT, [view.select, view.key, view.selected])
    return Measured(round(clock), round(task_ms(thread) - before))


def follow(reader: Reader, page: Page, thread: Thread, view: View, first: int) -> tuple[dict[str, float], float | None]:
    """Frames while steps arrive, and how long after the last one was stored the page shows it."""
    with growing(reader, first):
        while_growing = frames(page, thread, view)
    while reader.steps() < first + GROWING_STEPS:
        time.sleep(LOOK_SECONDS)
    stored = time.perf_counter()
    if view.shown is None:
        return while_growing, None
    while page.evaluate(view.shown) < first + GROWING_STEPS:
        time.sleep(LOOK_SECONDS)
    return while_growing, round((time.perf_counter() - stored) * 1_000)


def missed_targets(
    first: Measured, each: dict[str, dict[str, float]], selected: Measured | None, heap_mb: float, blank: float
) -> list[str]:
    """The names of the numbers that are worse than they should be."""
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)

    def number(measured: Measured) -> float:
        return measured.cpu_ms if busy else measured.clock_ms

    good = {
        "first_screen": number(first) <= FIRST_SCREEN_MS,
        "select": selected is None or number(selected) <= SELECT_MS,
        "heap": heap_mb <= HEAP_MB,
        **{name: one["cpu_ms"] <= CPU_A_FRAME_MS and (busy or one["p95"] <= blank + FRAME_OVER_BLANK_MS) for name, one in each.items()},
    }
    return [name for name, is_good in good.items() if not is_good]


def measure_view(reader: Reader, view: View, first: int, blank: float) -> bool:
    """One view, as a line of JSON. Whether each number is as good as its target."""
    openings: list[Measured] = []
    while True:
        page, thread, painted = opened(reader, view)
        openings.append(painted)
        if len(openings) == OPENINGS:
            break
        page.close()
    page.wait_for_timeout(1_000)  # what is loaded after the first screen
    still = frames(page, thread, view)
    selected = select(page, thread, view) if view.select else None
    moving, live_ms = follow(reader, page, thread, view, first)
    heap_mb = thread.heap_mb()
    page.close()
    best = Measured(min(one.clock_ms for one in openings), min(one.cpu_ms for one in openings))
    missed = missed_targets(best, {"frame": still, "growing": moving}, selected, heap_mb, blank)
    emit(
        bench="tabs",
        view=view.name,
        steps=first + GROWING_STEPS,
        first_screen_ms=[one.clock_ms for one in openings],
        first_screen_cpu_ms=[one.cpu_ms for one in openings],
        frame_ms=still,
        growing_frame_ms=moving,
        select_ms=selected and selected.clock_ms,
        select_cpu_ms=selected and selected.cpu_ms,
        live_ms=live_ms,
        heap_mb=heap_mb,
        blank_frame_ms=blank,
        missed=missed,
        load=round(os.getloadavg()[0], 1),
    )
    return not missed


def blank_frames(reader: Reader) -> float:
    """The 95th percentile of an empty page that scrolls."""
    page = reader.context.new_page()
    page.goto(BLANK)
    times = page.evaluate(MOVE, ["#far", "scroll", FRAMES])
    page.close()
    return quantile(times, 0.95)


def measure(browser: Browser, url: str, steps: int, only: list[str]) -> bool:
    reader = Reader(browser, url)
    views = [view for view in VIEWS if not only or view.name in only]
    first = steps - GROWING_STEPS * len(views)
    for task in (OTHER_TASK, TASK):
        post_all(url, reader.key, bodies(task, 0, first, PER_REQUEST))
    while reader.steps() < first:
        time.sleep(LOOK_SECONDS)
    good = True
    for number, view in enumerate(views):
        reader.sign_in()
        good &= measure_view(reader, view, first + number * GROWING_STEPS, blank_frames(reader))
    return good


def main() -> None:
    """Measure on the platform that is named, or on one of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--url", help="of a platform that runs")
    parser.add_argument("--only", nargs="*", default=[], help="the names of the views, as in the lines")
    arguments = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        sys.exit("no Chromium: run `npm ci` in web/, or set AMS_TEST_CHROMIUM")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory(prefix="ams-bench-") as folder:
        browser = playwright.chromium.launch(**chromium.launch_options())
        platform = None if arguments.url else Platform(Path(folder) / "data").start()
        try:
            good = measure(browser, arguments.url or platform.url, arguments.steps, arguments.only)  # pyright: ignore[reportOptionalMemberAccess]  one of both
        finally:
            browser.close()
            if platform is not None:
                platform.stop()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
