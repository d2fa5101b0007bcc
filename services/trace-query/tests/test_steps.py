"""Steps: windows of a task, a single step with its payloads, and the search across tasks."""

import pytest

T0 = 1_782_000_000_000_000


async def test_a_step_has_all_its_fields(ada, store) -> None:
    task_id = await store.task()
    step_id = await store.step(
        task_id,
        parent_step_id="00000000000000aa",
        type="llm",
        type_raw="CHAT_MODEL",
        name="draft",
        agent="writer",
        model_requested="gpt-4o",
        model="gpt-4o-2024-08-06",
        duration_us=2_345_671,
        cost_nusd=6_450_000,
        cost_source="computed",
        counted_input=1200,
        counted_output=345,
        counted_nusd=6_450_000,
        error_type="TimeoutError",
        error_message="no answer",
        rest={"usage": {"input": 1200, "output": 345, "reasoning": 12}, "finish_reasons": ["stop"], "attempts": 2, "captured": ["input"]},
    )

    step = (await ada.get(f"tasks/{task_id}/steps/{step_id}"))["step"]

    assert step["usage"] == {"input": 1200, "output": 345, "reasoning": 12}
    assert (step["cost_usd"], step["cost_source"], step["counted"]) == ("0.00645", "computed", True)
    assert step["error"] == {"type": "TimeoutError", "message": "no answer"}
    assert step["stamps"] == {"document": [2, T0 + 500, 2, "e" * 32], "progress": None}
    assert (step["attempts"], step["finish_reasons"], step["captured"]) == (2, ["stop"], ["input"])


async def test_an_open_step_has_its_progress_and_partial_usage(ada, store) -> None:
    task_id = await store.task()
    step_id = await store.step(
        task_id,
        status="waiting",
        stamp_phase=0,
        end_offset=None,
        progress_phase=1,
        progress_at_us=T0 + 90,
        progress_seq=3,
        progress_event_id="d" * 32,
        progress_status="waiting",
        progress_usage={"output": 12},
        last_beat_us=T0 + 90,
    )

    step = (await ada.get(f"tasks/{task_id}/steps/{step_id}"))["step"]

    assert step["usage"] == {"output": 12}
    assert step["progress"] == {"status": "waiting", "at_us": T0 + 90, "usage": {"output": 12}}
    assert step["stamps"]["progress"] == [1, T0 + 90, 3, "d" * 32]
    assert step["cost_usd"] is None


async def test_an_absent_payload_has_a_reason(ada, store) -> None:
    task_id = await store.task()
    step_id = await store.step(task_id, rest={"captured": ["input", "error_stack"], "too_large": ["output"]})
    await store.payload(task_id, step_id, "input", "hello", mime="application/json", bytes=2_000_000, truncated=True)

    payloads = (await ada.get(f"tasks/{task_id}/steps/{step_id}"))["payloads"]

    assert payloads == [
        {"slot": "input", "mime": "application/json", "text": "hello", "bytes": 2_000_000, "truncated": True, "absent": None},
        {"slot": "output", "mime": None, "text": None, "bytes": None, "truncated": False, "absent": "too_large"},
        {"slot": "error_stack", "mime": None, "text": None, "bytes": None, "truncated": False, "absent": "not_here_yet"},
    ]


@pytest.mark.parametrize(("phase", "output"), [(0, "not_here_yet"), (2, "not_captured")])
async def test_the_output_of_an_open_step_is_not_here_yet(ada, store, phase: int, output: str) -> None:
    task_id = await store.task()
    step_id = await store.step(task_id, stamp_phase=phase)

    payloads = (await ada.get(f"tasks/{task_id}/steps/{step_id}"))["payloads"]

    assert [(payload["slot"], payload["absent"]) for payload in payloads] == [("input", "not_captured"), ("output", output)]


async def test_the_original_span_is_included_when_it_exists(ada, store) -> None:
    task_id = await store.task()
    step_id = await store.step(task_id)
    await store.payload(task_id, step_id, "original", "{}")

    payloads = (await ada.get(f"tasks/{task_id}/steps/{step_id}"))["payloads"]

    assert [payload["slot"] for payload in payloads] == ["input", "output", "original"]


async def test_windows_are_chronological_and_steps_without_a_start_come_last(ada, store) -> None:
    task_id = await store.task(partition=7)
    await store.position(7, 12)
    late = await store.step(task_id, started_at_us=T0 + 9, seq=1)
    tied_second = await store.step(task_id, started_at_us=T0 + 5, seq=3)
    tied_first = await store.step(task_id, started_at_us=T0 + 5, seq=2)
    unknown_second = await store.step(task_id, started_at_us=None, seq=8)
    unknown_first = await store.step(task_id, started_at_us=None, seq=7)
    expected = [tied_first, tied_second, late, unknown_first, unknown_second]

    for limit in (1, 2, 3, 4, 5, 500):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await ada.get(f"tasks/{task_id}/steps", limit=str(limit), **cursor)
            seen += [item["step_id"] for item in page["items"]]
            assert page["position"] == "1.7.12"
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert seen == expected


async def test_steps_given_by_id_are_returned_in_order(ada, store) -> None:
    task_id = await store.task()
    ids = [await store.step(task_id, started_at_us=T0 + n) for n in range(5)]

    page = await ada.get(f"tasks/{task_id}/steps", step_id=f"{ids[3]},{ids[1].upper()},{'f' * 16}")

    assert [item["step_id"] for item in page["items"]] == [ids[1], ids[3]]
    assert page["next_cursor"] is None


async def test_at_most_200_step_ids_are_accepted(ada, store) -> None:
    task_id = await store.task()

    assert (await ada.problem(f"tasks/{task_id}/steps", step_id=",".join(["a" * 16] * 201)))["code"] == "too_many_values"
    assert (await ada.get(f"tasks/{task_id}/steps", step_id=",".join(["a" * 16] * 200)))["items"] == []
    assert (await ada.problem(f"tasks/{task_id}/steps", step_id="nothex"))["code"] == "bad_step_id"


async def test_steps_are_searched_across_tasks_newest_first_in_pages(ada, store) -> None:
    one, two = await store.task(), await store.task()
    expected = [
        await store.step(two, started_at_us=T0 + 30),
        await store.step(one, started_at_us=T0 + 20),
        await store.step(one, started_at_us=T0 + 10, step_id="00000000000000a1"),
        await store.step(two, started_at_us=T0 + 10, step_id="00000000000000a2"),
        await store.step(one, started_at_us=None, step_id="00000000000000b1"),
    ]
    seen: list[str] = []
    cursor: dict[str, str] = {}

    while True:
        page = await ada.get("steps", limit="2", **cursor)
        seen += [item["step_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}

    assert seen == expected
    ranged = await ada.get("steps", **{"from": "2026-06-21T00:00:00.000020Z", "to": "2026-06-21T00:00:00.000030Z"})
    assert [item["step_id"] for item in ranged["items"]] == [expected[1]]


async def test_pages_contain_equal_step_ids_of_two_tasks_once_each(ada, store) -> None:
    tasks = sorted([await store.task() for _ in range(5)])
    for task_id in tasks:
        await store.step(task_id, step_id="00000000000000c1")
    seen: list[str] = []
    cursor: dict[str, str] = {}

    while True:
        page = await ada.get("steps", limit="2", **cursor)
        seen += [item["task_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}

    assert seen == tasks


async def test_an_unknown_step_is_not_found(ada, store) -> None:
    task_id = await store.task()

    assert (await ada.problem(f"tasks/{task_id}/steps/{'a' * 16}"))["code"] == "step_not_found"
    assert (await ada.problem(f"tasks/{'b' * 32}/steps/{'a' * 16}"))["code"] == "task_not_found"
    assert (await ada.problem(f"tasks/{'b' * 32}/steps"))["code"] == "task_not_found"
