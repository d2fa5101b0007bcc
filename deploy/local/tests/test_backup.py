"""Addresses of Postgres as ``ams backup`` and ``ams restore`` use them, and what is no backup."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ams_local.backup import _of_role
from ams_local.commands.backup import restore


@pytest.mark.parametrize("person", ["postgres:of%20the%20superuser@", "postgres@", ""])
def test_tables_are_made_by_their_owner_however_the_superuser_signs_in(person: str) -> None:
    url = f"postgresql://{person}one:5432,two:5432/ams_traces?sslmode=require"

    assert _of_role(url, "ams_owner", "a/b@c") == "postgresql://ams_owner:a%2Fb%40c@one:5432,two:5432/ams_traces?sslmode=require"


def test_a_folder_that_is_no_backup_is_refused_with_a_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(restore, [str(tmp_path / "nothing"), "--data", str(tmp_path / "data")])

    assert done.exit_code == 2
    assert "is not a backup" in done.stderr
