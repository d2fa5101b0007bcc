"""Bad parameters and queries, one row each; ids are those of the table of bad inputs (c4). Each response is a problem document below 500."""

import asyncio
import time

import pytest

STEPS, TASKS = "steps", "tasks"

REFUSED = {
    "Q03-field-name-injection": (TASKS, "q=status%22%3B%20drop:x", "query_syntax"),
    "Q03-unknown-field": (TASKS, "q=colour:red", "unknown_field"),
    "Q05-field-path-injection": (STEPS, "q=metadata-%3E'a')%3B%20select%201%3B--:x", "query_syntax"),
    "Q06-sort": (TASKS, "sort=name;drop", "bad_sort"),
    "Q08-limit-0": (TASKS, "limit=0", "bad_limit"),
    "Q08-limit-negative": (TASKS, "limit=-1", "bad_limit"),
    "Q08-limit-501": (TASKS, "limit=501", "bad_limit"),
    "Q08-limit-1e3": (TASKS, "limit=1e3", "bad_limit"),
    "Q08-limit-hex": (TASKS, "limit=0x10", "bad_limit"),
    "Q08-limit-nan": (TASKS, "limit=NaN", "bad_limit"),
    "Q08-limit-empty": (TASKS, "limit=", "bad_limit"),
    "Q08-limit-400-digits": (TASKS, "limit=" + "1" * 400, "bad_limit"),
    "Q08-limit-5000-digits": (TASKS, "limit=" + "1" * 5_000, "too_long"),
    "Q08-limit-arabic-digits": (TASKS, "limit=%D9%A1%D9%A2", "bad_limit"),
    "Q08-limit-space": (TASKS, "limit=%2010", "bad_limit"),
    "Q08-limit-newline": (TASKS, "limit=10%0A", "bad_limit"),
    "Q10-duplicate": (TASKS, "limit=1&limit=2", "duplicate_parameter"),
    "Q11-unknown": (TASKS, "foo=1", "unknown_parameter"),
    "Q11-unknown-empty-name": (TASKS, "=1", "unknown_parameter"),
    "Q13-not-utf8": (TASKS, "q=%ff", "not_utf8"),
    "Q13-surrogate": (TASKS, "q=%ed%a0%80", "not_utf8"),
    "Q15-4097-bytes": (TASKS, "q=" + "a" * 4_097, "query_too_long"),
    "Q15-4097-bytes-of-umlauts": (TASKS, "q=" + "%C3%A4" * 2_049, "query_too_long"),
    "Q15-long-address": (TASKS, "q=" + "a" * 17_000, "uri_too_long"),
    "Q18-regex": (STEPS, "q=name:~%5E(a%2B)%2B$", "query_syntax"),
    "Q20-many-terms": (STEPS, "q=" + "a%20" * 2_000, "query_too_complex"),
    "Q25-naive-from": (TASKS, "from=2026-06-21T00:00:00", "time_zone_required"),
    "Q25-date-only": (TASKS, "from=2026-06-21", "bad_time"),
    "Q25-plus-not-escaped": (TASKS, "from=2026-06-21T00:00:00+01:00", "bad_time"),
    "Q25-no-such-day": (TASKS, "from=2026-02-30T00:00:00Z", "bad_time"),
    "Q25-leap-second": (TASKS, "from=2026-06-30T23:59:60Z", "bad_time"),
    "Q25-number": (TASKS, "from=1782000000", "bad_time"),
    "Q25-empty": (TASKS, "from=", "bad_time"),
    "Q26-from-after-to": (TASKS, "from=2026-06-21T01:00:00Z&to=2026-06-21T00:00:00Z", "empty_range"),
    "Q28-100-years": (TASKS, "from=1926-06-21T00:00:00Z&to=2026-06-21T00:00:00Z", "range_too_wide"),
    "Q28-100-years-until-now": (STEPS, "from=1926-06-21T00:00:00Z", "range_too_wide"),
    "Q33-project-filter": (TASKS, "project_id=0198f3aa-0000-7000-8000-0000000000aa", "unknown_parameter"),
    "Q33-project-field": (TASKS, "q=project:x", "unknown_field"),
    "Q41-201-values": (TASKS, "q=status:" + ",".join(["ok"] * 201), "query_too_complex"),
    "Q41-201-statuses": (TASKS, "status=" + ",".join(["ok"] * 201), "too_many_values"),
    "Q43-33-clauses": (STEPS, "q=" + "%20".join(["name:a"] * 33), "query_too_complex"),
    "Q43-depth-6": (STEPS, "q=((((((a))))))", "query_too_complex"),
    "Q43-4000-brackets": (STEPS, "q=" + "(" * 4_000, "query_syntax"),
    "Q45-not-not-not": (STEPS, "q=" + "NOT%20" * 1_000 + "a", "query_too_complex"),
    "Q45-minus-minus": (STEPS, "q=" + "-" * 4_000 + "a", "query_too_complex"),
    "Q46-dangling-or": (STEPS, "q=type:llm%20OR", "query_syntax"),
    "Q48-duplicate-maybe": (TASKS, "q=duplicate:maybe", "bad_value"),
    "Q48-latency-abc": (STEPS, "q=latency:%3Eabc", "bad_value"),
    "Q48-latency-negative": (STEPS, "q=latency:%3E-1s", "bad_value"),
    "Q48-latency-huge": (STEPS, "q=latency:%3E1e309s", "bad_value"),
    "Q48-latency-nan": (STEPS, "q=latency:%3ENaN", "bad_value"),
    "Q48-latency-beyond-int64": (STEPS, "q=latency:%3E999999999999999h", "bad_value"),
    "Q48-latency-no-unit": (STEPS, "q=latency:%3E2", "bad_value"),
    "Q48-latency-part-of-a-microsecond": (STEPS, "q=latency:%3E0.5us", "bad_value"),
    "Q48-operator-without-colon": (STEPS, "q=latency%3E2s", "query_syntax"),
    "Q50-tokens-fraction": (STEPS, "q=tokens:1.5", "bad_value"),
    "Q50-tokens-negative": (STEPS, "q=tokens:%3E-1", "bad_value"),
    "Q50-tokens-list": (STEPS, "q=tokens:1,2", "bad_value"),
    "Q51-cost-exponent": (STEPS, "q=cost:%3E1e-3", "bad_value"),
    "Q51-cost-ten-decimals": (STEPS, "q=cost:%3E0.0000000001", "bad_value"),
    "Q53-tag-without-key": (STEPS, "q=tag:prod", "unknown_field"),
    "Q53-tag-empty-key": (STEPS, "q=tag.:prod", "query_syntax"),
    "Q53-tag-empty-value": (STEPS, "q=tag.env:", "query_syntax"),
    "Q53-tag-nul": (STEPS, "q=tag.env:a%00b", "nul_character"),
    "Q53-tag-order": (STEPS, "q=tag.env:%3E5", "bad_value"),
    "Q55-empty-part": (STEPS, "q=tag..a:1", "query_syntax"),
    "Q55-key-on-a-field-without": (STEPS, "q=name.x:1", "unknown_field"),
    "Q58-fields": (TASKS, "fields=name", "unknown_parameter"),
    "task-field-on-steps": (STEPS, "q=kind:chat", "unknown_field"),
    "step-field-on-tasks": (TASKS, "q=model:gpt-4o", "unknown_field"),
    "wrong-status": (TASKS, "q=status:eror", "bad_value"),
    "open-quotation": (TASKS, "q=%22abc", "query_syntax"),
    "64-parameters": (TASKS, "&".join(f"a{n}=1" for n in range(65)), "unknown_parameter"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_bad_request_is_rejected_with_its_code(ada, name: str) -> None:
    path, query_string, code = REFUSED[name]

    response = await ada.answer(f"{path}?{query_string}")

    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code, response.text
    assert response.status_code == (414 if code == "uri_too_long" else 400)
    assert len(response.content) < 1_000  # the response does not repeat the input


ACCEPTED = {
    "Q01-sql-in-status": (TASKS, "status='%3B%20DROP%20TABLE%20runs%3B--"),
    "Q01-sql-in-agent": (TASKS, "agent=x'%20OR%20'1'='1"),
    "Q01-sql-in-value": (STEPS, "q=name:%22'%3B%20DROP%20TABLE%20steps%3B--%22"),
    "Q15-4096-bytes": (TASKS, "q=" + "a" * 4_096),
    "Q21-empty": (TASKS, "q="),
    "Q21-blank": (TASKS, "q=%20%0A"),
    "Q23-emoji": (STEPS, "q=%F0%9F%97%BC"),
    "Q23-cjk": (STEPS, "q=%E6%9D%B1%E4%BA%AC"),
    "Q23-combining": (STEPS, "q=e%CC%81"),
    "Q43-32-clauses": (STEPS, "q=" + "%20".join(["name:a"] * 32)),
    "Q43-depth-5": (STEPS, "q=(((((a)))))"),
    "Q53-tag-10-kB-less": (STEPS, "q=tag.env:" + "a" * 4_000),
    "Q56-proto": (STEPS, "q=tag.__proto__:x%20tag.constructor:y"),
    "Q28-90-days": (TASKS, "from=2026-03-23T00:00:00Z&to=2026-06-21T00:00:00Z"),
    "before-1970": (TASKS, "from=1969-12-31T23:59:59.999999Z&to=1970-01-01T00:00:00Z"),
    "zone-offset": (TASKS, "from=2026-06-21T00:00:00.123456789%2B05:30"),
    "largest-numbers": (STEPS, "q=tokens:%3E999999999999999999%20cost:%3C9223372036.854775807"),
    "every-field-of-steps": (
        STEPS,
        "q=status:ok%20type:llm,tool%20name:a*%20agent:b%20model:c*%20provider:d%20tool:e%20latency:%3E1s%20duration:%3C2h%20ttft:%3E=3ms%20cost:%3C=1%20cost_source:computed%20tokens:1k%20input_tokens:2%20output_tokens:3%20error:x%20conversation:f%20user:g%20env:h%20tag.i:j%20flag:k%20task:"
        + "a" * 32
        + "%20step:"
        + "b" * 16,
    ),
    "every-field-of-tasks": (
        TASKS,
        "q=status:ok%20agent:a%20name:b%20kind:c%20latency:%3E1s%20duration:%3C2m%20cost:%3E$1%20tokens:%3E1%20input_tokens:1%20output_tokens:2%20steps:%3E3%20errors:%3C4%20error:*%20conversation:d%20user:e%20env:f%20tag.%22g%20h%22:i%20flag:j%20task:"
        + "A" * 32,
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
async def test_unusual_valid_input_succeeds_without_results(ada, name: str) -> None:
    path, query_string = ACCEPTED[name]

    response = await ada.answer(f"{path}?{query_string}")

    assert (response.status_code, response.json()["items"]) == (200, [])


@pytest.mark.parametrize(
    ("query", "column", "suggestion"),
    [
        ("statsu:error", 1, "status:"),
        ("latency:>2s statsu:error", 13, "status:"),
        ("status:eror", 8, "status:error"),
        ("status:ok,eror", 11, "status:error"),
        ("latency:>2", 10, "latency:>2s"),
        ("a (b OR c", 10, "close it with )"),
        ("a)", 2, "leave out )"),
        ('日本 "x', 4, 'close it with "'),
        ("cost>0.1", 5, 'cost:>0.1, or "cost>0.1" for the words themselves'),
        ("http://x", 1, None),
        ("tag:prod", 1, "tag.name:value"),
    ],
)
async def test_a_query_error_has_a_column_and_a_suggestion(ada, query: str, column: int, suggestion: str | None) -> None:
    problem = await ada.problem("tasks", q=query)

    assert problem["column"] == column
    assert problem["suggestion"] == suggestion if suggestion else "quotation marks" in problem["suggestion"]


async def test_q70_unrelated_headers_are_ignored(http, store) -> None:
    headers = {"Authorization": "Bearer ada", "If-None-Match": "\x7fgarbage", "Range": "bytes=0-1"}

    assert (await http.get(f"/api/traces/{store.project_id}/tasks", headers=headers)).status_code == 200


async def test_q63_the_largest_numbers_are_returned_exactly(ada, store) -> None:
    task_id = await store.task()
    step_id = await store.step(task_id, cost_nusd=2**63 - 1, input_tokens=10**15, rest={"usage": {"input": 10**15}})

    step = (await ada.get(f"tasks/{task_id}/steps/{step_id}"))["step"]

    assert step["cost_usd"] == "9223372036.854775807"  # as text, because they exceed the integers that JavaScript represents exactly
    assert step["usage"]["input"] == 10**15


async def test_q43_parsing_the_largest_query_is_fast(ada) -> None:
    started = time.perf_counter()

    await asyncio.gather(*(ada.problem("steps", q="(" * 4_096) for _ in range(10)))

    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_q71_only_read_methods_are_allowed(http, store, method: str) -> None:
    response = await http.request(method, f"/api/traces/{store.project_id}/tasks", headers={"Authorization": "Bearer ada"})

    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
