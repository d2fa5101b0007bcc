"""Inputs and outputs of several steps in one response."""

from ams_trace_query.payloads import TEXT_BYTES_MAX


async def test_several_steps_come_with_their_payloads_in_the_order_asked(ada, store) -> None:
    task_id = await store.task()
    first = await store.step(task_id, name="first")
    second = await store.step(task_id, name="second", rest={"too_large": ["output"]})
    await store.payload(task_id, first, "input", "asked")
    await store.payload(task_id, first, "output", "answered")
    await store.payload(task_id, first, "original", "left out")

    page = await ada.get(f"tasks/{task_id}/payloads", step_id=f"{second},{first},{'0' * 16}")

    assert [item["step"]["name"] for item in page["items"]] == ["second", "first"]
    assert [(payload["slot"], payload["text"], payload["absent"]) for item in page["items"] for payload in item["payloads"]] == [
        ("input", None, "not_captured"),
        ("output", None, "too_large"),
        ("input", "asked", None),
        ("output", "answered", None),
    ]
    assert page["omitted"] == []
    with_original = await ada.get(f"tasks/{task_id}/payloads", step_id=first, slots="output,original")
    assert [(payload["slot"], payload["text"]) for payload in with_original["items"][0]["payloads"]] == [
        ("output", "answered"),
        ("original", "left out"),
    ]
    refused = await ada.problem(f"tasks/{task_id}/payloads", step_id=first, slots="logs")
    assert (refused["status"], refused["code"]) == (400, "bad_slots")


async def test_steps_that_do_not_fit_are_listed(ada, store) -> None:
    task_id = await store.task()
    steps = [await store.step(task_id) for _ in range(3)]
    for step_id in steps:
        await store.payload(task_id, step_id, "input", "x" * (TEXT_BYTES_MAX * 2 // 3))

    page = await ada.get(f"tasks/{task_id}/payloads", step_id=",".join(steps))

    assert [item["step"]["step_id"] for item in page["items"]] == steps[:2]
    assert page["omitted"] == steps[2:]


async def test_one_large_step_is_not_omitted(ada, store) -> None:
    task_id = await store.task()
    step_id = await store.step(task_id)
    await store.payload(task_id, step_id, "output", "x" * (TEXT_BYTES_MAX + 1))

    page = await ada.get(f"tasks/{task_id}/payloads", step_id=step_id)

    assert (len(page["items"]), page["omitted"]) == (1, [])


async def test_wrong_ids_are_refused_and_none_give_nothing(ada, store) -> None:
    task_id = await store.task()

    none = await ada.get(f"tasks/{task_id}/payloads")
    wrong = await ada.problem(f"tasks/{task_id}/payloads", step_id="xyz")
    many = await ada.problem(f"tasks/{task_id}/payloads", step_id=",".join(["a" * 16] * 201))

    assert none == {"items": [], "omitted": []}
    assert (wrong["status"], many["status"]) == (400, 400)
