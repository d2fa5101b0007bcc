"""The wheel that the platform serves."""

import subprocess
import sys
import zipfile
from pathlib import Path

from ams_local.wheels import build_wheel


def test_the_same_sources_make_the_same_bytes(tmp_path: Path) -> None:
    first, second = build_wheel(tmp_path / "a"), build_wheel(tmp_path / "b")

    assert first.read_bytes() == second.read_bytes()


def test_it_is_made_again_only_when_the_sources_changed(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path)
    made = wheel.stat().st_mtime_ns

    build_wheel(tmp_path)
    again = wheel.stat().st_mtime_ns
    (tmp_path / "build.sha256").write_text("another")
    build_wheel(tmp_path)

    assert again == made
    assert wheel.stat().st_mtime_ns != made


def test_an_installer_takes_it(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "served")

    done = subprocess.run(
        [sys.executable, "-c", "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).testzip()", str(wheel)], check=False, capture_output=True
    )
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        record = archive.read(next(name for name in names if name.endswith("RECORD"))).decode()
        points = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()

    assert done.returncode == 0
    assert {line.split(",")[0] for line in record.splitlines()} == set(names)
    assert "ams = ams.cli.main:main" in points
    assert "Requires-Dist: msgspec" in metadata
    assert "Provides-Extra: cli" in metadata
    assert "ams/py.typed" in names
    assert "ams_contracts/events.py" in names
