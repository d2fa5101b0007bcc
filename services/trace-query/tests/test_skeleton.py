"""The skeleton of a task: all steps as columns."""

import secrets

import pytest

from ams_trace_query.skeleton import LARGE_STEPS, rows_closing_a_cycle

T0 = 1_782_000_000_000_000


async def test_a_skeleton_holds_every_step_as_columns_in_order(ada, store) -> None:
    task_id = await store.task(partition=7, steps=3)
    await store.position(7, 4211)
    root = await store.step(task_id, started_at_us=T0 + 10, type="agent", name="planner", agent="planner", stamp_at_us=T0 + 900)
    child = await store.step(
        task_id,
        started_at_us=T0 + 20,
        parent_step_id=root,
        name="draft",
        model="gpt-4o",
        duration_us=5,
        seq=2,
        cost_nusd=7,
        counted_nusd=7,
        first_offset=3,
        end_offset=None,
        stamp_phase=0,
        stamp_at_us=T0 + 20,
        status="running",
        input_tokens=11,
    )
    orphan = await store.step(
        task_id,
        started_at_us=None,
        parent_step_id="f" * 16,
        name="draft",
        stamp_phase=None,
        stamp_at_us=None,
        progress_phase=1,
        progress_at_us=T0 + 30,
        status="running",
    )

    skeleton = await ada.get(f"tasks/{task_id}/skeleton")

    columns = skeleton["columns"]
    assert skeleton["position"] == "1.7.4211"
    assert skeleton["base_us"] == T0 + 10
    assert columns["step_id"] == [root, child, orphan]
    assert columns["parent"] == [-1, 0, -2]
    assert skeleton["missing_parents"] == {"2": "f" * 16}
    assert [skeleton["types"][code] for code in columns["type"]] == ["agent", "llm", "llm"]
    assert [skeleton["names"][code] for code in columns["name"]] == ["planner", "draft", "draft"]
    assert [skeleton["statuses"][code] for code in columns["status"]] == ["ok", "running", "running"]
    assert columns["agent"] == [0, -1, -1]
    assert (columns["model"], skeleton["models"]) == ([-1, 0, -1], ["gpt-4o"])
    assert columns["start"] == [0, 10, None]
    assert columns["duration"] == [None, 5, None]
    assert columns["input_tokens"] == [None, 11, None]
    assert columns["cost_nusd"] == [None, 7, None]
    assert columns["counted"] == [0, 1, 0]
    assert columns["phase"] == [2, 0, 1]
    assert columns["at"] == [890, 10, 20]
    assert columns["first_offset"] == [1, 3, 1]
    assert columns["end_offset"] == [2, None, 2]
    assert {len(column) for column in columns.values()} == {3}


async def test_a_task_without_steps_has_an_empty_skeleton(ada, store) -> None:
    task_id = await store.task()

    skeleton = await ada.get(f"tasks/{task_id}/skeleton")

    assert skeleton["base_us"] == T0
    assert set(map(len, skeleton["columns"].values())) == {0}


async def test_many_steps_are_in_order(ada, store) -> None:
    count = LARGE_STEPS + 3
    task_id = await store.task(steps=count)
    await store.step(task_id, step_id=f"{1:016x}", started_at_us=T0 + 1)
    await store.execute(
        """INSERT INTO g1.steps SELECT (jsonb_populate_record(first, jsonb_build_object(
               'step_id', lpad(to_hex(n), 16, '0'), 'parent_step_id', lpad(to_hex(n - 1), 16, '0'),
               'started_at_us', started_at_us + n - 1, 'name', 'call ' || n % 7))).*
           FROM g1.steps AS first, generate_series(2, $2::int) AS n WHERE task_id = $1 ORDER BY random()""",
        task_id,
        count,
    )

    skeleton = await ada.get(f"tasks/{task_id}/skeleton")

    assert skeleton["columns"]["step_id"] == [f"{n:016x}" for n in range(1, count + 1)]
    assert skeleton["columns"]["start"] == list(range(count))
    assert skeleton["columns"]["parent"] == list(range(-1, count - 1))  # q61: a chain of thousands, built without recursion


async def test_q60_a_cycle_of_parents_is_broken(ada, store) -> None:
    task_id = await store.task()
    one, two, self_parent = (secrets.token_hex(8) for _ in range(3))
    await store.step(task_id, step_id=one, parent_step_id=two, started_at_us=T0)
    await store.step(task_id, step_id=two, parent_step_id=one, started_at_us=T0 + 1)
    await store.step(task_id, step_id=self_parent, parent_step_id=self_parent, started_at_us=T0 + 2)

    skeleton = await ada.get(f"tasks/{task_id}/skeleton")

    assert skeleton["columns"]["parent"] == [-2, 0, -2]
    assert skeleton["missing_parents"] == {"0": two, "2": self_parent}


@pytest.mark.parametrize(
    ("parents", "closing"),
    [
        ([], []),
        ([-1, 0, 1], []),
        ([0], [0]),
        ([1, 0], [0]),
        ([1, 2, 0], [0]),
        ([1, -1], []),
        ([2, 0, 1, 2, 4], [0, 4]),
        ([3, 0, 1, -1], []),
        ([1, 2, 1], [1]),
    ],
)
def test_one_row_of_every_cycle_is_returned(parents: list[int], closing: list[int]) -> None:
    assert rows_closing_a_cycle(parents) == closing


async def test_a_task_with_too_many_steps_is_rejected_with_an_alternative(ada, store) -> None:
    task_id = await store.task(steps=1_000_000)

    problem = await ada.problem(f"tasks/{task_id}/skeleton")

    assert (problem["status"], problem["code"]) == (413, "too_large")
    assert "windows" in problem["detail"]


async def test_the_first_steps_of_a_task_are_a_skeleton_of_their_own(ada, store) -> None:
    task_id = await store.task(steps=3)
    root = await store.step(task_id, started_at_us=T0, type="agent")
    late = await store.step(task_id, started_at_us=T0 + 9, parent_step_id=root)
    early = await store.step(task_id, started_at_us=T0 + 5, parent_step_id=root)

    first = await ada.get(f"tasks/{task_id}/skeleton", first="2")
    more = await ada.get(f"tasks/{task_id}/skeleton", first="4")
    whole = await ada.get(f"tasks/{task_id}/skeleton")

    assert (first["columns"]["step_id"], first["columns"]["parent"], first["complete"]) == ([root, early], [-1, 0], False)
    assert (more["columns"]["step_id"], more["complete"]) == ([root, early, late], True)
    assert (whole["columns"], whole["complete"]) == (more["columns"], True)


@pytest.mark.parametrize("first", ["0", "5001", "1e2", "-1", "", "x"])
async def test_a_wrong_number_of_first_steps_is_rejected(ada, store, first: str) -> None:
    assert (await ada.problem(f"tasks/{await store.task()}/skeleton", first=first))["code"] == "bad_first"
