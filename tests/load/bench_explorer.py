"""A large task in a browser: until its first rows show, scrolling, and following it while it grows. JSON lines.

    python -m tests.load.bench_explorer [--steps 100000] [--url URL] [--profiles DIR]

Posts nine tenths of a task, opens its page in a headless Chromium, scrolls it through, then posts the last tenth while the page stays open
until it shows every step. ``first_rows_ms`` counts from the navigation; ``cpu_ms_a_frame`` is what the page's main thread spends for one
frame of a scroll (16.7 are there), whatever else the machine does; frames are drawn by the processor here, so ``frame_ms`` is what a
machine without a graphics card sees. Without ``--url`` it starts a platform of its own.
"""

import argparse
import json
import os
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright
from tests.chromium import find_chromium
from tests.installation import Platform
from tests.load.bench_ingest import emit
from tests.load.bench_large import bodies, post_all

FIRST_ROWS_TARGET_MS = 1_500
CPU_A_FRAME_MAX_MS = 16.7
PATIENCE_MS = 180_000
OPENINGS = 3
TASK = "c3" * 16
PER_REQUEST = 500
FOLLOW_PER_REQUEST = 50
LOOK_SECONDS = 0.25

# when the first row shows, by the page's own clock, and the long tasks of its thread
WATCH = """
globalThis.firstRows = 0; globalThis.longTasks = [];
new MutationObserver((_, observer) => {
    if (document.querySelectorAll('[role=treegrid] .step-row').length === 0) return;
    observer.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => { globalThis.firstRows = performance.now(); }));
}).observe(document, {childList: true, subtree: true});
new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) globalThis.longTasks.push([Math.round(entry.startTime), Math.round(entry.duration)]);
}).observe({type: 'longtask', buffered: true});
"""
FETCHED = """() => {
    const entry = performance.getEntriesByType('resource').find(({name}) => name.includes('/skeleton'));
    return entry && {asked: entry.startTime, first: entry.responseStart, last: entry.responseEnd,
        sent: entry.encodedBodySize, bytes: entry.decodedBodySize};
}"""
# a scroll by so many pixels a frame; how long each frame took
SCROLL = """([pixels, frames]) => new Promise((done) => {
    const grid = document.querySelector('[role=treegrid]');
    const times = [];
    let last = performance.now();
    const step = (now) => {
        times.push(now - last);
        last = now;
        grid.scrollTop += pixels;
        if (times.length < frames) requestAnimationFrame(step); else done(times.slice(1));
    };
    requestAnimationFrame(step);
})"""
SHOWN = "() => Number(document.querySelector('.task-facts div:nth-child(2) dd')?.textContent.replace(/\\D/g, '') ?? 0)"


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)


class Thread:
    """What the page's main thread has done, in processor time."""

    def __init__(self, cdp: CDPSession) -> None:
        self._cdp = cdp
        cdp.send("Performance.enable", {"timeDomain": "threadTicks"})

    def milliseconds(self) -> dict[str, float]:
        metrics = {one["name"]: one["value"] for one in self._cdp.send("Performance.getMetrics")["metrics"]}
        return {name: metrics[f"{name}Duration"] * 1_000 for name in ("Task", "Script", "Layout", "RecalcStyle")}

    @contextmanager
    def profiled(self, path: Path | None) -> Generator[None]:
        """A CPU profile of the block, as a file for Chromium's DevTools; nothing without a path."""
        if path is None:
            yield
            return
        self._cdp.send("Profiler.enable")
        self._cdp.send("Profiler.start")
        yield
        path.write_text(json.dumps(self._cdp.send("Profiler.stop")["profile"]))

    def heap_mb(self) -> float:
        self._cdp.send("HeapProfiler.collectGarbage")
        return round(self._cdp.send("Runtime.getHeapUsage")["usedSize"] / 1024 / 1024, 1)


def difference(after: dict[str, float], before: dict[str, float], units: float) -> dict[str, float]:
    return {name.lower(): round((value - before[name]) / units, 2) for name, value in after.items()}


class Reader:
    """A person of a new project, in a browser of their own."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self.context: BrowserContext = browser.new_context(
            base_url=url, viewport={"width": 1440, "height": 900}, bypass_csp=True
        )  # waiting for a function is an eval
        self.context.set_default_timeout(PATIENCE_MS)
        self._name, self._password = f"bench{secrets.token_hex(5)}", secrets.token_urlsafe(24)
        self.headers: dict[str, str] = {}
        self._post("/api/auth/register", {"username": self._name, "email": f"{self._name}@example.com", "password": self._password})
        self.sign_in()
        self.project = self._post("/api/projects", {"name": "bench"})["project_id"]
        self.key = self._post(f"/api/projects/{self.project}/keys", {"name": "bench"})["key"]

    def sign_in(self) -> None:
        """Again before a token of some minutes expires."""
        token = self._post("/api/auth/login", {"login": self._name, "password": self._password})["access_token"]
        self.headers = {"Authorization": f"Bearer {token}"}

    def _post(self, path: str, data: dict[str, str]) -> Any:
        answer = self.context.request.post(path, data=data, headers=self.headers)
        if not answer.ok:
            raise RuntimeError(f"{path}: {answer.status}")
        return answer.json()

    def steps(self) -> int:
        answer = self.context.request.get(f"/api/traces/{self.project}/tasks/{TASK}", headers=self.headers)
        return answer.json()["task"]["steps"] if answer.ok else 0

    def open(self, profile: Path | None = None) -> tuple[Page, Thread, dict[str, float]]:
        """The task's page after its first rows show, and the time that its thread spent until then."""
        page = self.context.new_page()
        page.add_init_script(WATCH)
        thread = Thread(self.context.new_cdp_session(page))
        before = thread.milliseconds()
        with thread.profiled(profile):
            page.goto(f"/projects/{self.project}/tasks/{TASK}")
            page.wait_for_function("globalThis.firstRows > 0", timeout=PATIENCE_MS)
        return page, thread, difference(thread.milliseconds(), before, 1)


def opening(reader: Reader, profile: Path | None) -> float:
    """One opening of the page, printed as a line; milliseconds until its first rows."""
    page, thread, spent = reader.open(profile)
    first = page.evaluate("globalThis.firstRows")
    fetched = page.evaluate(FETCHED)
    emit(
        bench="explorer",
        part="open",
        first_rows_ms=round(first),
        skeleton_asked_ms=round(fetched["asked"]),
        skeleton_first_byte_ms=round(fetched["first"]),
        skeleton_last_byte_ms=round(fetched["last"]),
        skeleton_mb=round(fetched["bytes"] / 1e6, 2),
        skeleton_sent_mb=round(fetched["sent"] / 1e6, 2),
        cpu_ms=spent,
        long_tasks_ms=page.evaluate("globalThis.longTasks"),
        heap_mb=thread.heap_mb(),
        load=round(os.getloadavg()[0], 1),
    )
    page.close()
    return first


def scroll(page: Page, thread: Thread, name: str, pixels: int, frames: int = 180) -> float:
    """One scroll, printed as a line; milliseconds of CPU time per frame."""
    before = thread.milliseconds()
    times = page.evaluate(SCROLL, [pixels, frames])
    spent = difference(thread.milliseconds(), before, frames)
    emit(
        bench="explorer",
        part=name,
        pixels_a_frame=pixels,
        cpu_ms_a_frame=spent,
        frame_ms={"p50": quantile(times, 0.5), "p95": quantile(times, 0.95), "max": round(max(times), 1)},
        load=round(os.getloadavg()[0], 1),
    )
    return spent["task"]


def follow(reader: Reader, page: Page, thread: Thread, first: int, until: int) -> bool:
    """Post steps while the page is open. Whether it shows them all."""
    heap, before, began = thread.heap_mb(), thread.milliseconds(), time.perf_counter()
    posting = threading.Thread(target=post_all, args=(reader.url, reader.key, bodies(TASK, first, until, FOLLOW_PER_REQUEST)))
    posting.start()
    shown = 0
    while shown < until and time.perf_counter() - began < PATIENCE_MS / 1_000:
        time.sleep(LOOK_SECONDS)
        shown = page.evaluate(SHOWN)
    seconds = time.perf_counter() - began
    posting.join()
    emit(
        bench="explorer",
        part="follow",
        steps=until - first,
        shown=shown == until,
        seconds=round(seconds, 1),
        cpu_ms_a_second=difference(thread.milliseconds(), before, seconds),
        heap_mb_before=heap,
        heap_mb_after=thread.heap_mb(),
        load=round(os.getloadavg()[0], 1),
    )
    return shown == until


def measure(browser: Browser, url: str, steps: int, profiles: Path | None) -> bool:
    reader = Reader(browser, url)
    most = steps * 9 // 10
    post_all(url, reader.key, bodies(TASK, 0, most, PER_REQUEST))
    while reader.steps() < most:
        time.sleep(LOOK_SECONDS)
    firsts = [opening(reader, profiles and profiles / f"open-{number}.cpuprofile") for number in range(OPENINGS)]
    page, thread, _ = reader.open()
    with thread.profiled(profiles and profiles / "scroll.cpuprofile"):
        slow = scroll(page, thread, "scroll", 120)
        fast = scroll(page, thread, "scroll fast", 20_000)
    with thread.profiled(profiles and profiles / "follow.cpuprofile"):
        good = follow(reader, page, thread, most, steps)
    emit(bench="explorer", part="all", steps=steps, first_rows_ms=round(min(firsts)), cpu_ms_a_frame=max(slow, fast))
    return good and min(firsts) <= FIRST_ROWS_TARGET_MS and max(slow, fast) <= CPU_A_FRAME_MAX_MS


def main() -> None:
    """Measure on the platform that is named, or on one of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--url", help="of a platform that runs")
    parser.add_argument("--profiles", type=Path, help="a directory for processor profiles, which Chromium's DevTools open")
    arguments = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        sys.exit("no Chromium: run `npm ci` in web/, or set AMS_TEST_CHROMIUM")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory(prefix="ams-bench-") as folder:
        browser = playwright.chromium.launch(**chromium.launch_options())
        platform = None if arguments.url else Platform(Path(folder) / "data").start()
        try:
            good = measure(browser, arguments.url or platform.url, arguments.steps, arguments.profiles)  # pyright: ignore[reportOptionalMemberAccess]  one of both
        finally:
            browser.close()
            if platform is not None:
                platform.stop()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
