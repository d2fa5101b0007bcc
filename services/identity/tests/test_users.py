"""Table ``users``: its columns, its unique constraints, and ``updated_at`` after every change."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import asyncpg
import httpx
import pytest
from argon2 import PasswordHasher
from services.identity.tests.clients import PASSWORD, Person

from ams_identity.migrations import HEAD
from ams_identity.migrations.run import revision_of
from ams_identity.migrations.upgrade import upgrade

Sql = Callable[..., Any]


def row_of(sql: Sql, person: Person) -> Any:
    (row,) = sql("select * from users where id = $1", person.user_id)
    return row


def test_the_table_has_the_specified_columns(sql: Sql) -> None:
    columns = {row["column_name"] for row in sql("select column_name from information_schema.columns where table_name = 'users'")}

    assert columns == {
        "id", "username", "username_key", "email", "email_key", "password_hash", "created_at", "updated_at", "disabled_at", "kind",
        "deleted_at", "administrator", "email_verified_at", "service_name",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("column", "name"), [("username", "username"), ("username_key", "username"), ("email", "email"), ("email_key", "email")]
)
def test_username_and_email_are_unique(sql: Sql, person: Person, stranger: Person, column: str, name: str) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        sql(f"update users set {column} = $2 where id = $1", person.user_id, getattr(stranger, name))


@pytest.mark.parametrize("path", ["/api/me", "/api/users/me"])
def test_updated_at_of_a_new_account_equals_created_at(sql: Sql, person: Person, path: str) -> None:
    user = person.get(path).json()

    assert user["updated_at"] == user["created_at"]
    assert row_of(sql, person)["updated_at"] == row_of(sql, person)["created_at"]


def change_password(person: Person, **_: Any) -> None:
    assert person.post("/api/users/me/password", {"password": PASSWORD, "new_password": "another good password"}).status_code == 204


def sign_in_with_an_old_hash(person: Person, *, sql: Sql, **_: Any) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    sql("update users set password_hash = $2 where id = $1", person.user_id, weak)
    before = row_of(sql, person)["updated_at"]
    assert person.client.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).status_code == 200
    assert row_of(sql, person)["password_hash"] != weak
    assert row_of(sql, person)["updated_at"] > before


def disable(person: Person, *, service_headers: dict[str, str], **_: Any) -> None:
    assert person.client.post(f"/internal/accounts/{person.user_id}/disable", headers=service_headers).status_code == 204


def change_the_address_by_hand(person: Person, *, sql: Sql, **_: Any) -> None:
    sql("update users set email = $2 where id = $1", person.user_id, f"new-{person.email}")


@pytest.mark.parametrize("change", [change_password, sign_in_with_an_old_hash, disable, change_the_address_by_hand])
def test_every_change_moves_updated_at(sql: Sql, person: Person, service_headers: dict[str, str], change: Callable[..., None]) -> None:
    before = row_of(sql, person)

    change(person, sql=sql, service_headers=service_headers)

    after = row_of(sql, person)
    assert after["updated_at"] > before["updated_at"]
    assert after["created_at"] == before["created_at"]


def test_a_clock_set_back_still_moves_updated_at_forward(sql: Sql, person: Person) -> None:
    sql("alter table users disable trigger users_updated_at")
    sql("update users set updated_at = now() + interval '1 hour' where id = $1", person.user_id)
    sql("alter table users enable trigger users_updated_at")
    before = row_of(sql, person)["updated_at"]

    change_the_address_by_hand(person, sql=sql)

    assert row_of(sql, person)["updated_at"] > before


def test_me_includes_updated_at(sql: Sql, person: Person) -> None:
    change_the_address_by_hand(person, sql=sql)

    assert datetime.fromisoformat(person.get("/api/me").json()["updated_at"]) == row_of(sql, person)["updated_at"]


def test_an_update_without_changes_keeps_updated_at(sql: Sql, person: Person) -> None:
    before = row_of(sql, person)["updated_at"]

    sql("update users set email = email where id = $1", person.user_id)
    assert person.client.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).status_code == 200

    assert row_of(sql, person)["updated_at"] == before


def test_signing_in_by_email_ignores_its_case(client: httpx.Client, person: Person) -> None:
    assert client.post("/api/auth/login", json={"login": person.email.upper(), "password": PASSWORD}).status_code == 200


async def test_the_migrations_keep_accounts_of_the_first_revision(empty_database_url: str) -> None:
    await asyncio.to_thread(upgrade, empty_database_url, "0001")
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(
        """
        insert into users (user_id, username, username_key, email, email_key, password_hash, created_at, disabled_at) values
        ('0198f3aa-0000-7000-8000-0000000000b1', 'Ada', 'ada', 'Ada@x.y', 'ada@x.y', 'h', '2026-01-01Z', null),
        ('0198f3aa-0000-7000-8000-0000000000b2', 'Bob', 'bob', 'bob@x.y', 'bob@x.y', 'h', '2026-01-01Z', '2026-02-01Z')
        """
    )

    await asyncio.to_thread(upgrade, empty_database_url)

    assert await revision_of(empty_database_url) == HEAD
    rows = await connection.fetch("select username, email, updated_at from users order by id")
    assert [(row["username"], row["email"], row["updated_at"].month) for row in rows] == [("Ada", "Ada@x.y", 1), ("Bob", "bob@x.y", 2)]
    await connection.close()
