"""What a migration would do, in words."""

from pathlib import Path

import pytest

from ams_kit.migration_plan import plan_text, read_versions


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.py").write_text('"""The first tables."""\nrevision = "0001"\n')
    (tmp_path / "0002_more.py").write_text('"""A column.\n\nMore."""\nREPLAY = "older rows have no value"\n')
    (tmp_path / "0003_last.py").write_text('"""An index."""\nimport nothing_that_is_here\n')
    return tmp_path


def test_the_versions_that_a_database_lacks_are_listed_and_whether_a_replay_is_needed(versions: Path) -> None:
    assert plan_text("traces database", read_versions(versions), "0001") == (
        "traces database: at 0001; 2 versions would run, in one transaction\n"
        "  0002  A column.\n"
        "  0003  An index.\n"
        "  0002 needs a replay afterwards (ams replay): older rows have no value\n"
    )
    assert plan_text("traces database", read_versions(versions), "0002") == (
        "traces database: at 0002; 1 version would run, in one transaction\n  0003  An index.\n  no replay is needed\n"
    )


def test_a_new_database_needs_no_replay_and_a_current_one_nothing(versions: Path) -> None:
    assert "replay" not in plan_text("traces database", read_versions(versions), None)
    assert plan_text("traces database", read_versions(versions), "0003") == "traces database: at 0003, up to date\n"


def test_a_database_of_a_later_release_is_named(versions: Path) -> None:
    assert "newer than this release" in plan_text("traces database", read_versions(versions), "0009")
