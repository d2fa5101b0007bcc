"""The retention of a project, as its members read it."""

from datetime import UTC, date, datetime

import pytest

AT = datetime(2026, 5, 10, 0, 5, tzinfo=UTC)
AT_US = int(AT.timestamp() * 1_000_000)
INSERT = "INSERT INTO public.retention (project_id, days, kept_from, tasks_pruned, pruned_at) VALUES ($1, $2, $3, $4, $5)"


@pytest.fixture
async def settings(store):
    yield store
    await store.execute("DELETE FROM public.retention")
    await store.execute("DELETE FROM public.retention_runs")
    await store.execute("DELETE FROM app.project_settings")


async def test_before_the_first_run_the_values_are_null(ada, settings) -> None:
    assert await ada.get("retention") == {
        "days": None, "platform_days": None, "project_days": None, "kept_from": None, "tasks_deleted": 0, "deleted_at_us": None, "last_run": None,
    }  # fmt: skip


async def test_a_project_with_a_setting_shows_its_own_days_and_the_platforms_days(ada, settings, foreign) -> None:
    await settings.execute(INSERT, "", 30, date(2026, 4, 10), 99, AT)
    await settings.execute(INSERT, settings.project_id, 7, date(2026, 5, 3), 5, AT)
    await settings.execute(INSERT, foreign.project_id, 1, date(2026, 5, 9), 70, AT)
    await settings.execute("INSERT INTO app.project_settings VALUES ($1, 7, 1)", settings.project_id)
    await settings.execute("INSERT INTO public.retention_runs VALUES ($1, $2, $2, '{}')", AT.date(), AT)

    assert await ada.get("retention") == {
        "days": 7,
        "platform_days": 30,
        "project_days": 7,
        "kept_from": "2026-05-03",
        "tasks_deleted": 5,
        "deleted_at_us": AT_US,
        "last_run": {"day": "2026-05-10", "started_at_us": AT_US, "finished_at_us": AT_US},
    }


async def test_a_project_without_a_setting_has_the_platform_retention(ada, settings, foreign) -> None:
    await settings.execute(INSERT, "", 30, date(2026, 4, 10), 99, AT)
    await settings.execute(INSERT, foreign.project_id, 1, date(2026, 5, 9), 70, AT)
    await settings.execute("INSERT INTO app.project_settings VALUES ($1, 1, 1)", foreign.project_id)

    found = await ada.get("retention")

    assert (found["days"], found["project_days"], found["kept_from"], found["tasks_deleted"]) == (30, None, "2026-04-10", 0)
