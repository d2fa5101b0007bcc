"""Addresses of Postgres as ``ams backup`` and ``ams restore`` use them."""

import pytest

from ams_local.backup import _of_role


@pytest.mark.parametrize("person", ["postgres:of%20the%20superuser@", "postgres@", ""])
def test_tables_are_made_by_their_owner_however_the_superuser_signs_in(person: str) -> None:
    url = f"postgresql://{person}one:5432,two:5432/ams_traces?sslmode=require"

    assert _of_role(url, "ams_owner", "a/b@c") == "postgresql://ams_owner:a%2Fb%40c@one:5432,two:5432/ams_traces?sslmode=require"
