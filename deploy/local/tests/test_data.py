"""The data directory: one owner, a version, private secrets, ports that stay."""

import os
import socket
import stat
from pathlib import Path

import pytest

from ams_local.data import DataDir, DataError, Status


def test_a_second_owner_is_refused_with_the_first_ones_process_id(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "data")

    with data.lock(), pytest.raises(DataError, match=f"in use by process {os.getpid()}"), DataDir(tmp_path / "data").lock():
        pass


def test_the_owner_is_known_only_while_it_runs(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "data")

    with data.lock():
        during = data.owner()

    assert during == os.getpid()
    assert data.owner() is None


def test_a_newer_layout_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("2\n")

    with pytest.raises(DataError, match="newer"), DataDir(tmp_path).lock():
        pass

    assert (tmp_path / "version").read_text() == "2\n"


def test_a_folder_with_a_strange_version_is_no_data_directory(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("of my novel")

    with pytest.raises(DataError, match="really a data directory"), DataDir(tmp_path).lock():
        pass


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    data = DataDir(tmp_path)

    first, second = data.secrets(), data.secrets()

    assert first == second
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert (
        len({first.secret_key, first.service_secret, first.postgres_password, first.valkey_password, *first.role_passwords.values()}) == 8
    )


def test_rotated_secrets_keep_the_previous_key_until_it_has_been_used(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    before = data.secrets()

    data.rotate_secrets()
    during = data.secrets()
    with pytest.raises(DataError, match="has not taken effect"):
        data.rotate_secrets()
    data.forget_previous_secret()

    assert during.secret_key_previous == before.secret_key
    assert during.secret_key != before.secret_key
    assert during.service_secret != before.service_secret
    assert not set(during.role_passwords.values()) & set(before.role_passwords.values())
    assert during.postgres_password == before.postgres_password  # the embedded server keeps its own
    assert data.secrets().secret_key_previous == ""
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_damaged_secrets_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")

    with pytest.raises(DataError, match=r"secrets\.json"):
        DataDir(tmp_path).secrets()


def test_ports_stay_while_they_are_free(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    first = data.ports(["a", "b"])

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first["a"]))
        second = data.ports(["a", "b"])

    assert second["b"] == first["b"]
    assert second["a"] != first["a"]
    assert len(set(second.values())) == 2


def test_a_damaged_status_is_no_status(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.write_status(Status(pid=1, public_url="http://localhost:1", started_s=0))
    assert data.status() is not None

    (tmp_path / "status.json").write_text("{")

    assert data.status() is None


def test_what_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "kafka").mkdir(parents=True, mode=0o755)
    (root / "kafka" / "00000.log").write_text("a prompt")
    (root / "ports.json").write_text("{}")
    root.chmod(0o755)
    (root / "kafka" / "00000.log").chmod(0o644)

    with DataDir(root).lock():
        (root / "kafka" / "00001.log").write_text("another prompt")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")]}
    assert {name for name, mode in modes.items() if mode & 0o077} == {"00000.log"}  # below a folder that only its owner may enter
    assert modes["kafka"] == 0o700


def test_a_cluster_of_another_user_keeps_its_way_through_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "data"
    (root / "postgres").mkdir(parents=True)
    root.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: (root / "postgres").stat().st_uid + 1)

    with DataDir(root).lock():
        pass

    assert stat.S_IMODE(root.stat().st_mode) == 0o755
