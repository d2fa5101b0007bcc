"""Markup and scripts in what agents send are text, in every field and on every page."""

import json
import time
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, expect
from tests.browser.journeys import PATIENCE_MS, make_key
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

RUN = "window.attacked=1"
TAGS = [
    f"<script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f"<svg onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>",
    f"<iframe srcdoc='<script>parent.{RUN[7:]}</script>'></iframe>",
    f"<iframe src=javascript:{RUN}></iframe>",
    f"<body onload={RUN}>",
    f"<details open ontoggle={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    f"<video><source onerror={RUN}></video>",
    f"<audio src=x onerror={RUN}>",
    f"<marquee onstart={RUN}>",
    f"<object data=javascript:{RUN}></object>",
    f"<embed src=javascript:{RUN}>",
    f"<a href=javascript:{RUN}>x</a>",
    f"<form action=javascript:{RUN}><button>x</button></form>",
    f"<math><mi xlink:href=javascript:{RUN}>x</mi></math>",
    f"<meta http-equiv=refresh content='0;url=javascript:{RUN}'>",
    "<base href=https://attack.invalid/>",
    "<link rel=stylesheet href=https://attack.invalid/a.css>",
    "<style>@import 'https://attack.invalid/b.css';</style>",
    "<img src=https://attack.invalid/c.png>",
    f"</title><script>{RUN}</script>",
    f"</textarea><script>{RUN}</script>",
    f"--><script>{RUN}</script>",
    f"]]><script>{RUN}</script>",
    f"<scr<script>ipt>{RUN}</scr</script>ipt>",
    f"<IMG SRC=x OnErRoR={RUN}>",
    f"<img\tsrc=x\tonerror={RUN}>",
    f"&lt;script&gt;{RUN}&lt;/script&gt;",
]
WORDS = [
    f"[a](javascript:{RUN})",
    f"[a](JaVaScRiPt:{RUN})",
    f"[a](java\tscript:{RUN})",
    f"[a](&#106;avascript:{RUN})",
    f"[a](data:text/html,<script>{RUN}</script>)",
    f"[a](vbscript:{RUN})",
    f"[a][r]\n\n[r]: javascript:{RUN}",
    f"<javascript:{RUN}>",
    f"![a](javascript:{RUN})",
    "![a](https://attack.invalid/d.png)",
    "![a](//attack.invalid/e.png)",
    f'![a](x "onerror={RUN}")',
    f'[a](https://example.org "\\" onmouseover={RUN}")',
    f"`<img src=x onerror={RUN}>`",
    f"```html\n<script>{RUN}</script>\n```",
    f'```"><img src=x onerror={RUN}>\nx\n```',
    f"| a |\n|---|\n| <img src=x onerror={RUN}> |",
    f"> <img src=x onerror={RUN}>",
    f"# <img src=x onerror={RUN}>",
    f"- <img src=x onerror={RUN}>",
    f"{{{{constructor.constructor('{RUN}')()}}}}",
    f"${{{RUN}}}",
    f"'-{RUN}-'",
    f'"-{RUN}-"',
    f'" onmouseover="{RUN}',
    f"' autofocus onfocus='{RUN}",
    f"javascript:{RUN}",
    "\u202e\u2066<b>x</b>\u2069",
    '{"__proto__": {"attacked": 1}, "constructor": {"prototype": {"attacked": 1}}}',
    '{"type": "media", "mime": "image/svg+xml", "sha256": "../../../api/users/me", "uri": "javascript:1"}',
]
STRINGS = TAGS + WORDS
TASK = "5c" * 16


def a_span(number: int, text: str, at_ns: int) -> dict[str, object]:
    attributes = {
        "gen_ai.operation.name": ("chat", "execute_tool", "invoke_agent", "retrieval")[number % 4],
        "gen_ai.input.messages": json.dumps([{"role": text, "parts": [{"type": "text", "content": text}, {"type": text, "x": text}]}]),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "finish_reason": text, "parts": [{"type": "tool_call", "id": text, "name": text, "arguments": {text: text}}]}]),
        "gen_ai.request.model": text,
        "gen_ai.response.model": text,
        "gen_ai.provider.name": text,
        "gen_ai.agent.name": text,
        "gen_ai.tool.name": text,
        "gen_ai.tool.call.arguments": text,
        "gen_ai.tool.call.result": text,
        "gen_ai.conversation.id": text,
        "user.id": text,
        "gen_ai.tool.definitions": json.dumps([{"type": "function", "function": {"name": text, "description": text, "parameters": {"properties": {text: {"type": text}}}}}]),
        "retrieval.documents.0.document.id": text,
        "retrieval.documents.0.document.content": text,
        "retrieval.documents.0.document.metadata": json.dumps({text: text}),
        text[:100]: text,
    }  # fmt: skip
    return {
        "traceId": TASK,
        "spanId": f"{number + 1:016x}",
        "parentSpanId": "" if number == 0 else f"{1:016x}",
        "name": text,
        "startTimeUnixNano": str(at_ns + number * 1_000_000),
        "endTimeUnixNano": str(at_ns + 500_000_000),
        "status": {"code": 2, "message": text},
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
        "links": [{"traceId": "ab" * 16, "spanId": "ab" * 8, "attributes": [{"key": text, "value": {"stringValue": text}}]}],
        "events": [
            {
                "name": "exception",
                "timeUnixNano": str(at_ns + 400_000_000),
                "attributes": [{"key": f"exception.{part}", "value": {"stringValue": text}} for part in ("type", "message", "stacktrace")],
            }
        ],
    }


def test_sixty_hostile_strings_in_every_field_do_nothing(page: Page, platform: Platform) -> None:
    assert len(set(STRINGS)) == 60
    foreign: list[str] = []
    dialogs: list[str] = []
    page.on("request", lambda request: foreign.append(request.url) if urlsplit(request.url).hostname == "attack.invalid" else None)
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    key = make_key(page)
    now = time.time_ns() - 10**9
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": TAGS[1]}}]}
    spans = [a_span(number, text, now) for number, text in enumerate(STRINGS)]
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": TAGS[2]}, "spans": spans}]}]}
    httpx.post(f"{platform.url}/v1/traces", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=60).raise_for_status()
    expect(page.locator(".task-row")).to_have_count(1, timeout=PATIENCE_MS)

    project = page.url.split("/projects/")[1].split("/")[0]
    for number, text in enumerate(STRINGS):
        score = {
            "task_id": TASK,
            "step_id": f"{number + 1:016x}" if number % 2 else None,
            "name": text[:256],
            "label": text[:256],
            "comment": text,
        }
        answer = httpx.post(
            f"{platform.url}/api/ingest/{project}/scores", json=score, headers={"Authorization": f"Bearer {key}"}, timeout=60
        )
        assert answer.status_code in {200, 201, 422}, answer.text

    page.goto(f"/t/{TASK}")
    expect(page.locator(".step-row").first).to_be_visible(timeout=PATIENCE_MS)
    collapsed = page.locator("#detail .section-twist[aria-expanded=false]")
    for _ in STRINGS:
        page.keyboard.press("j")
        expect(page.locator("#detail h2")).not_to_be_empty(timeout=PATIENCE_MS)
        expect(page.locator("#detail .detail-ghost")).to_have_count(0, timeout=PATIENCE_MS)
        while collapsed.count() > 0:  # they stay open for the next steps of this type
            collapsed.first.click()
    expect(page.locator("#detail").get_by_text("window.attacked=1").first).to_be_attached()
    page.keyboard.press("v")
    for tab in page.get_by_role("navigation").get_by_role("link").all() + page.get_by_role("tab").all():
        assert (tab.get_attribute("href") or "/").startswith(("/", platform.url))
    for tab in ("Conversation", "Graph", "Activity", "Delivery"):
        page.get_by_role("link", name=tab, exact=True).click()
        expect(page.get_by_role("link", name=tab, exact=True)).to_have_attribute("aria-current", "page")
    for name in ("models", "annotate", "sessions", "statistics", "links"):
        page.goto(f"/projects/{project}/{name}")
        expect(page.locator("h1, .task-row, strong").first).to_be_attached(timeout=PATIENCE_MS)
    page.get_by_role("link", name="Agents").click()
    expect(page.get_by_role("heading", name="Agents")).to_be_attached(timeout=PATIENCE_MS)

    assert page.evaluate("[window.attacked, ({}).attacked]") == [None, None]
    assert page.locator("a[href^='javascript' i], a[href^='data' i], a[href^='vbscript' i], iframe, object, embed").count() == 0
    assert (foreign, dialogs) == ([], [])
