"""Images, sounds and files that an agent sent are shown, and what was not sent says so."""

import base64
import json
import struct
import time
import zlib

import httpx
import pytest
from playwright.sync_api import Page, expect
from tests.browser.journeys import PATIENCE_MS, make_key, row
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

TASK, STEP = "7d" * 16, "7e" * 8
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><script>parent.attacked = 1</script></svg>"
HTML = b"<!doctype html><script>parent.attacked = 1</script><p>hello, this is a document</p>"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    rows = b"".join(b"\0" + bytes([200, 40, 80] * width) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def wav(samples: int) -> bytes:
    shape = struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    return b"RIFF" + struct.pack("<I", 36 + samples) + b"WAVEfmt " + shape + b"data" + struct.pack("<I", samples) + bytes([128]) * samples


def a_span(parts: list[dict[str, object]]) -> dict[str, object]:
    now = time.time_ns()
    messages = [{"role": "user", "parts": [{"type": "text", "content": "What is this?"}, *parts]}]
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps(messages)}
    return {
        "traceId": TASK,
        "spanId": STEP,
        "name": "look",
        "startTimeUnixNano": str(now - 10**9),
        "endTimeUnixNano": str(now),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
    }


def blob(mime: str, data: bytes) -> dict[str, object]:
    return {"type": "blob", "modality": mime.partition("/")[0], "mime_type": mime, "content": base64.b64encode(data).decode()}


def test_media_are_shown_by_a_safe_type_and_what_is_absent_says_why(page: Page, platform: Platform) -> None:
    foreign: list[str] = []
    page.on("request", lambda request: foreign.append(request.url) if "pictures.invalid" in request.url else None)
    key = make_key(page)
    parts: list[dict[str, object]] = [
        blob("image/png", png(64, 48)),
        blob("audio/wav", wav(8_000)),
        blob("image/svg+xml", SVG),
        blob("text/html", HTML),
        blob("image/png", bytes(800 * 1024)),
        {"type": "uri", "modality": "image", "mime_type": "image/jpeg", "uri": "https://pictures.invalid/a.jpg"},
    ]
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [a_span(parts)]}]}]}
    httpx.post(f"{platform.url}/v1/traces", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=60).raise_for_status()
    expect(page.locator(".task-row")).to_have_count(1, timeout=PATIENCE_MS)
    page.goto(f"/t/{TASK}")
    row(page, "look").click(timeout=PATIENCE_MS)

    shown = page.locator("#detail .media-part")
    image = shown.nth(0).locator("img")
    image.scroll_into_view_if_needed(timeout=PATIENCE_MS)
    expect(image).to_have_js_property("naturalWidth", 64)
    shown.nth(1).scroll_into_view_if_needed()
    expect(shown.nth(1).locator("audio")).to_have_js_property("duration", 1, timeout=PATIENCE_MS)
    for number in (2, 3):
        shown.nth(number).scroll_into_view_if_needed()
        download = shown.nth(number).get_by_role("link", name="Download")
        expect(download).to_be_visible(timeout=PATIENCE_MS)
        with page.expect_download() as started:
            download.click()
        assert started.value.suggested_filename.endswith(".bin")
    expect(shown.nth(4)).to_contain_text("larger than the limit")
    expect(shown.nth(5)).to_contain_text("https://pictures.invalid/a.jpg")
    assert foreign == []
    assert page.evaluate("window.attacked") is None
