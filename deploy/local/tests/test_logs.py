"""Log files are bounded and can be followed."""

from pathlib import Path

import pytest

from ams_local import logs


def test_a_long_file_becomes_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 10)
    long, short = tmp_path / "long.log", tmp_path / "short.log"
    long.write_text("much more than ten bytes\n")
    short.write_text("few\n")

    logs.bound_logs(tmp_path)

    assert long.read_text() == ""
    assert (tmp_path / "long.log.1").read_text() == "much more than ten bytes\n"
    assert short.read_text() == "few\n"


def test_a_writer_goes_on_after_its_file_was_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 4)
    log = tmp_path / "a.log"
    with log.open("a") as writer:
        writer.write("before\n")
        writer.flush()

        logs.bound_logs(tmp_path)
        writer.write("after\n")

    assert log.read_text() == "after\n"


def test_following_shows_whole_lines_once_and_survives_emptying(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("old\n")
    follower = logs.Follower([log])

    with log.open("a") as writer:
        writer.write("one\ntw")
    first = [line for _, line in follower.new_lines()]
    with log.open("a") as writer:
        writer.write("o\n")
    second = [line for _, line in follower.new_lines()]
    log.write_text("new\n")
    third = [line for _, line in follower.new_lines()]

    assert (first, second, third) == (["one"], ["two"], ["new"])


def test_the_last_line_is_the_last_that_says_something(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("first\nwhy\n\n")

    assert logs.last_line(tmp_path / "a.log") == "why"
    assert logs.last_line(tmp_path / "none.log") == "(nothing was written)"
