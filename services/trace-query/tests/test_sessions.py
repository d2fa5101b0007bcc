"""Sessions: the tasks of one conversation with their totals."""

import asyncpg

from ams_trace_query.database import compile_statement
from ams_trace_query.sessions import sessions_page

T0 = 1_782_000_000_000_000


async def test_a_session_sums_its_tasks_and_shows_its_newest_one(ada, store) -> None:
    await store.task(
        conversation_id="c1",
        sort_at_us=T0,
        preview="Hi",
        duration_us=5,
        input_tokens=10,
        cost_nusd=2_000_000,
        priced_steps=1,
        errors=1,
        unmetered_calls=1,
    )
    newest = await store.task(
        conversation_id="c1",
        sort_at_us=T0 + 9,
        preview="And?",
        duration_us=7,
        output_tokens=3,
        status="running",
        user_id="u",
        unpriced_steps=2,
        unmetered_calls=3,
    )
    await store.task(sort_at_us=T0 + 20)

    [session] = (await ada.get("sessions"))["items"]

    assert (session["conversation_id"], session["tasks"], session["has_more_tasks"]) == ("c1", 2, False)
    assert (session["first_at_us"], session["last_at_us"], session["last_task_id"]) == (T0, T0 + 9, newest)
    assert (session["status"], session["user_id"], session["preview"], session["open_tasks"]) == ("running", "u", "And?", 1)
    assert (session["input_tokens"], session["output_tokens"], session["duration_us"], session["errors"]) == (10, 3, 12, 1)
    assert (session["cost_usd"], session["unpriced_steps"], session["unmetered_calls"]) == ("0.002", 2, 4)


async def test_the_totals_of_a_session_are_its_own(ada, store) -> None:
    for name, tokens in (("a", 1), ("a", 2), ("b", 10), ("c", 100)):
        await store.task(conversation_id=name, input_tokens=tokens)

    sessions = (await ada.get("sessions"))["items"]

    assert {session["conversation_id"]: (session["tasks"], session["input_tokens"]) for session in sessions} == {
        "a": (2, 3), "b": (1, 10), "c": (1, 100),
    }  # fmt: skip


async def test_a_task_that_repeats_another_one_is_not_counted(ada, store) -> None:
    task_id = await store.task(conversation_id="a", input_tokens=5, sort_at_us=T0)
    await store.task(conversation_id="a", input_tokens=5, sort_at_us=T0 + 1, duplicate_of=task_id)

    [session] = (await ada.get("sessions"))["items"]

    assert (session["tasks"], session["input_tokens"], session["last_task_id"]) == (1, 5, task_id)


async def test_sessions_come_by_their_newest_task_and_each_once_over_all_pages(ada, store) -> None:
    for at in range(12):
        await store.task(conversation_id=f"c{at % 5}", sort_at_us=T0 + at // 2)
    found: list[str] = []
    cursor = None

    while True:
        page = await ada.get("sessions", limit=2, **({"cursor": cursor} if cursor else {}))
        found += [session["conversation_id"] for session in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert sorted(found) == ["c0", "c1", "c2", "c3", "c4"]
    newest = {f"c{at % 5}": at // 2 for at in range(12)}
    assert [newest[one] for one in found] == sorted(newest.values(), reverse=True)


async def test_one_session_is_read_by_its_conversation(ada, store) -> None:
    await store.task(conversation_id="support / 7")
    await store.task(conversation_id="other")

    page = await ada.get("sessions", conversation="support / 7")
    nothing = await ada.get("sessions", conversation="none")

    assert [session["conversation_id"] for session in page["items"]] == ["support / 7"]
    assert nothing == {"items": [], "next_cursor": None}


async def test_its_tasks_are_found_by_the_filter_of_the_list(ada, store) -> None:
    first = await store.task(conversation_id="support 7", sort_at_us=T0)
    second = await store.task(conversation_id="support 7", sort_at_us=T0 + 1)
    await store.task(conversation_id="support 8")

    page = await ada.get("tasks", q='conversation:"support 7"')

    assert [task["task_id"] for task in page["items"]] == [second, first]


async def test_a_session_of_another_project_is_not_found(ada, foreign) -> None:
    await foreign.task(conversation_id="c1")

    assert (await ada.get("sessions", conversation="c1"))["items"] == []


async def test_a_cursor_of_another_session_is_refused(ada, store) -> None:
    for name in ("a", "b"):
        await store.task(conversation_id=name)
    cursor = (await ada.get("sessions", limit=1))["next_cursor"]

    problem = await ada.problem("sessions", limit=1, cursor=cursor, conversation="a")

    assert (problem["status"], problem["code"]) == (400, "bad_cursor")


async def test_the_list_is_read_from_its_indexes(traces_url, store) -> None:
    text, values = compile_statement(sessions_page(store.project_id, None, [T0, "f" * 32], 51))
    owner = await asyncpg.connect(traces_url, server_settings={"search_path": "g1", "plan_cache_mode": "force_custom_plan"})
    await owner.execute(
        "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
    )
    plan = "\n".join(row[0] for row in await owner.fetch(f"EXPLAIN {text}", *values))
    await owner.close()

    assert "tasks_in_conversations" in plan, plan
    assert "tasks_by_conversation" in plan, plan
    assert "Seq Scan" not in plan, plan
