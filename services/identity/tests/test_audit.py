"""The audit log: append-only, chained, readable and exportable by owners, and erasable where it is personal."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from services.identity.tests.clients import PASSWORD, Person, Server

from ams_identity.migrations.run import migrate
from ams_identity.store.audit import NO_PROJECT
from ams_kit.create_databases import restrict_audit

Sql = Callable[..., list[Any]]


@pytest.fixture
def verify(client: httpx.Client, service_headers: dict[str, str]) -> Callable[[], dict[str, Any]]:
    return lambda: client.post("/internal/audit/verify", headers=service_headers).raise_for_status().json()


@pytest.fixture
def chained(sql: Sql) -> Callable[[], None]:
    def wait() -> None:
        unchained = "select count(*) from audit a where not exists (select from audit_chain c where c.audit_id = a.audit_id)"
        deadline = time.monotonic() + 20
        while sql(unchained)[0][0] > 0:
            assert time.monotonic() < deadline, "the chain is not extended"

    return wait


def tamper(sql: Sql, *statements: str) -> None:
    """Change the tables as their owner can: without the triggers."""
    for statement in ("alter table audit disable trigger user", "alter table audit_chain disable trigger user", *statements):
        sql(statement)
    sql("alter table audit enable trigger user")
    sql("alter table audit_chain enable trigger user")


@pytest.mark.parametrize(
    "statement",
    [
        "update audit set action = 'x'",
        "delete from audit",
        "truncate audit",
        "update audit_chain set seq = seq + 1",
        "delete from audit_chain",
        "truncate audit_chain, audit",
        "update audit_checkpoints set hash = ''",
        "delete from audit_checkpoints",
    ],
)
def test_entries_cannot_be_changed_or_removed(sql: Sql, person: Person, chained: Callable[[], None], statement: str) -> None:
    chained()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        sql(statement)


def test_an_owner_reads_what_happened_in_the_project(person: Person, chained: Callable[[], None]) -> None:
    key = person.post(f"/api/projects/{person.project_id}/keys", {"name": "k"}).json()["key_id"]
    person.delete(f"/api/projects/{person.project_id}/keys/{key}").raise_for_status()
    chained()

    items = person.get(f"/api/projects/{person.project_id}/audit").json()["items"]

    assert [item["action"] for item in items] == ["key.revoked", "key.created", "project.created"]
    assert [item["seq"] for item in items] == [3, 2, 1]
    assert {item["username"] for item in items} == {person.username}
    assert {item["address"] for item in items} == {person.client.headers["X-Forwarded-For"]}
    assert items[0]["subject"] == key
    assert {item["outcome"] for item in items} == {"ok"}


def test_the_list_has_pages_and_the_export_has_everything(person: Person) -> None:
    for number in range(5):
        person.post(f"/api/projects/{person.project_id}/keys", {"name": f"k{number}"}).raise_for_status()
    path = f"/api/projects/{person.project_id}/audit"

    first = person.get(f"{path}?limit=4").json()
    second = person.get(f"{path}?limit=4&cursor={first['next_cursor']}").json()
    exported = person.get(f"{path}/export")

    ids = [item["audit_id"] for item in first["items"] + second["items"]]
    assert second["next_cursor"] is None
    assert exported.headers["content-type"].startswith("application/x-ndjson")
    assert exported.headers["cache-control"] == "no-store"
    assert [json.loads(line)["audit_id"] for line in exported.text.splitlines()] == ids
    assert len(ids) == 6


@pytest.mark.parametrize("path", ["audit", "audit/export"])
def test_others_do_not_read_it(person: Person, stranger: Person, path: str) -> None:
    assert stranger.get(f"/api/projects/{person.project_id}/{path}").status_code == 404
    person.post(f"/api/projects/{person.project_id}/members", {"username": stranger.username, "role": "member"}).raise_for_status()
    assert stranger.get(f"/api/projects/{person.project_id}/{path}").status_code == 403


def test_a_refused_sign_in_has_its_outcome(person: Person, sql: Sql) -> None:
    person.client.post("/api/auth/login", json={"login": person.username, "password": "not the password"})

    assert (
        sql("select action, outcome from audit where user_id = $1 order by audit_id desc limit 1", person.user_id)[0]["outcome"]
        == "refused"
    )


def test_a_genuine_chain_verifies(person: Person, verify: Callable[[], dict[str, Any]], chained: Callable[[], None]) -> None:
    chained()
    report = verify()

    assert report["faults"] == []
    assert report["entries"] >= 3


@pytest.mark.parametrize(
    "damage_and_reason",
    [
        ("update audit set action = 'x' where audit_id = {id}", "changed"),
        ("update audit set at = at + interval '1 us' where audit_id = {id}", "changed"),
        ("update audit set user_id = null where audit_id = {id}", "changed"),
        ("update audit set outcome = 'refused' where audit_id = {id}", "changed"),
        ("update audit_addresses set address = '192.0.2.66' where audit_id = {id}", "address"),
        ("delete from audit_chain where audit_id = {id}", "missing"),
    ],
)
def test_a_changed_or_removed_entry_is_found(
    person: Person, sql: Sql, verify: Callable[[], dict[str, Any]], chained: Callable[[], None], damage_and_reason: tuple[str, str]
) -> None:
    damage, reason = damage_and_reason
    for number in range(3):
        person.post(f"/api/projects/{person.project_id}/keys", {"name": f"k{number}"}).raise_for_status()
    chained()
    (victim,) = sql("select audit_id from audit_chain where project_id = $1 and seq = 2", person.project_id)

    tamper(sql, damage.format(id=victim["audit_id"]))

    (fault,) = [fault for fault in verify()["faults"] if fault["project_id"] == person.project_id]
    assert fault["seq"] == 2
    assert reason in fault["reason"]


def test_a_forged_checkpoint_is_found(person: Person, sql: Sql, verify: Callable[[], dict[str, Any]], chained: Callable[[], None]) -> None:
    chained()
    sql("alter table audit_checkpoints disable trigger user")
    sql("update audit_checkpoints set hash = '\\x00' where project_id = $1", person.project_id)
    sql("alter table audit_checkpoints enable trigger user")

    (fault,) = [fault for fault in verify()["faults"] if fault["project_id"] == person.project_id]

    assert "not genuine" in fault["reason"]


def test_an_erased_address_breaks_nothing(
    person: Person, sql: Sql, verify: Callable[[], dict[str, Any]], chained: Callable[[], None]
) -> None:
    chained()
    sql("delete from audit_addresses p using audit a where a.audit_id = p.audit_id and a.user_id = $1", person.user_id)

    assert [fault for fault in verify()["faults"] if fault["project_id"] in {person.project_id, NO_PROJECT}] == []
    assert {item["address"] for item in person.get(f"/api/projects/{person.project_id}/audit").json()["items"]} == {None}


def test_expired_months_are_removed_and_the_rest_verifies(
    server: Server, new_person: Callable[[], Person], sql: Sql, verify: Callable[[], dict[str, Any]], chained: Callable[[], None]
) -> None:
    before = server.clock.offset
    server.clock.offset -= 80 * 86_400
    try:
        person = new_person()
        path = f"/api/projects/{person.project_id}/keys"
        assert [person.post(path, {"name": "old"}).status_code for _ in range(2)] == [201, 201]
        chained()
    finally:
        server.clock.offset = before
    person.token = person.client.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).json()["access_token"]
    person.post(path, {"name": "new"}).raise_for_status()
    chained()

    sql("select audit_expire(now() + interval '10 years')")

    assert [item["seq"] for item in person.get(f"/api/projects/{person.project_id}/audit").json()["items"]] == [4]
    assert [fault for fault in verify()["faults"] if fault["project_id"] == person.project_id] == []


def test_the_log_holds_no_secrets(person: Person, sql: Sql) -> None:
    person.post("/api/users/me/password", {"password": PASSWORD, "new_password": "another good password"}).raise_for_status()

    text = json.dumps([dict(row) for row in sql("select * from audit where user_id = $1", person.user_id)], default=str)

    assert PASSWORD not in text
    assert person.token not in text


async def test_the_role_that_writes_the_log_cannot_change_it(postgres_admin_url: str) -> None:
    name = f"ams_audit_test_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(postgres_admin_url)
    await admin.execute(f"create role {name} login password 'secret'")
    await admin.execute(f"create database {name} owner {name}")
    writer = None
    try:
        parts = urlsplit(postgres_admin_url)
        url = f"postgresql://{name}:secret@{parts.hostname}:{parts.port}/{name}"
        await asyncio.to_thread(migrate, url)
        for _ in range(2):
            await restrict_audit(postgres_admin_url, database=name, writer=name)
        writer = await asyncpg.connect(url)
        await writer.execute("insert into audit (at, action, outcome) values (now(), 'x', 'ok')")
        for statement in (
            "update audit set action = 'y'",
            "delete from audit",
            "truncate audit",
            "drop table audit",
            "alter table audit disable trigger user",
            "delete from audit_chain",
            "drop function audit_refuse_change cascade",
            "set role ams_audit",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await writer.execute(statement)
        assert await writer.fetchval("select count(*) from audit") == 1
        await writer.execute("select audit_expire(now())")
    finally:
        if writer is not None:
            await writer.close()
        await admin.execute(f"drop database {name} with (force)")
        await admin.execute(f"drop role {name}")
        await admin.close()


def test_other_services_add_entries_with_the_address_that_they_saw(
    person: Person, client: httpx.Client, service_headers: dict[str, str], chained: Callable[[], None]
) -> None:
    entry = {
        "action": "alert_rule.created",
        "user_id": person.user_id,
        "project_id": person.project_id,
        "subject": "r",
        "address": "192.0.2.7",
    }

    added = client.post("/internal/audit", json=entry, headers=service_headers)
    refused = [
        client.post("/internal/audit", json={**entry, **change}, headers=service_headers).status_code
        for change in ({"action": "project.deleted"}, {"project_id": "x"}, {"more": 1})
    ]
    nobody = client.post("/internal/audit", json=entry)
    chained()

    assert (added.status_code, refused, nobody.status_code) == (204, [422, 422, 422], 401)
    newest = person.get(f"/api/projects/{person.project_id}/audit").json()["items"][0]
    assert (newest["action"], newest["username"], newest["subject"], newest["address"]) == (
        *("alert_rule.created", person.username, "r", "192.0.2.7"),
    )
