"""Alert rules: who reads and changes them, what is refused, and how their webhooks are kept secret."""

import asyncio
import base64
import json

import asyncpg
import pytest
from litestar.testing import AsyncTestClient

from ams_trace_query.alerts import rules

URL = "https://hooks.example.com/services/T00/B00/abcdefsecret"
RULE = {"name": "Failures", "q": "agent:planner", "measure": "error_rate", "threshold": 0.25, "window_seconds": 300}


@pytest.fixture
def person(http, store, project_of):
    """Sends requests as one of the people of the project."""
    return lambda user: project_of(http, store.project_id, user)


@pytest.fixture
def stranger(http, foreign, project_of):
    """A member of the other project, in that project."""
    return project_of(http, foreign.project_id, "fay")


async def created(person, **changes) -> dict:
    response = await person.send("POST", "alert-rules", {**RULE, **changes})
    assert response.status_code == 201, response.text
    return response.json()


async def test_a_member_creates_changes_pauses_and_deletes_a_rule_and_each_change_is_audited(http, person, store) -> None:
    mia, max_, ada = person("mia"), person("max"), person("ada")

    made = await created(mia)
    rule, path = made["rule"], f"alert-rules/{made['rule']['rule_id']}"

    assert {name: rule[name] for name in RULE} == RULE
    assert (rule["enabled"], rule["webhook"], rule["author_id"], made["signing_secret"]) == (True, None, "mia", None)
    assert await ada.get(path) == rule
    paused = await max_.send("PUT", path, {**RULE, "enabled": False})
    assert (paused.status_code, paused.json()["rule"]["enabled"], paused.json()["rule"]["updated_by"]) == (200, False, "max")
    assert (await max_.send("DELETE", path)).status_code == 204
    assert (await ada.problem(path))["code"] == "alert_rule_not_found"
    expected = [("alert_rule.created", "mia"), ("alert_rule.changed", "max"), ("alert_rule.deleted", "max")]
    assert [entry[:2] for entry in http.app.state.auth.audited] == expected
    assert {entry[2:] for entry in http.app.state.auth.audited} == {(store.project_id, rule["rule_id"])}


async def test_without_an_audit_entry_nothing_changes(http, person, monkeypatch) -> None:
    async def fail(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(http.app.state.auth, "audit", fail)

    assert (await person("mia").send("POST", "alert-rules", RULE)).status_code in {500, 503}
    assert (await person("mia").get("alert-rules"))["items"] == []


async def test_a_viewer_a_key_and_a_stranger_change_nothing(person, http, store, foreign, project_of) -> None:
    rule = (await created(person("mia"), webhook={"format": "json", "url": URL}))["rule"]
    path = f"alert-rules/{rule['rule_id']}"
    key = {"Authorization": "Bearer ams_read"}
    changes = [("POST", "alert-rules", RULE), ("PUT", path, RULE), ("DELETE", path, None), ("POST", f"{path}/test", None)]
    changes += [
        ("POST", "alert-rules/preview", {k: v for k, v in RULE.items() if k != "name"}),
        ("POST", f"alerts/{'a' * 32}/acknowledge", None),
    ]

    for method, where, body in changes:
        by_viewer = await person("ada").send(method, where, body)
        by_key = await http.request(method, f"/api/traces/{store.project_id}/{where}", headers=key, **({"json": body} if body else {}))
        assert [(one.status_code, one.json()["code"]) for one in (by_viewer, by_key)] == [(403, "role_too_low")] * 2
        assert (await project_of(http, store.project_id, "fay").send(method, where, body)).json()["code"] == "project_not_found"
        if rule["rule_id"] in where:
            assert (await project_of(http, foreign.project_id, "fay").send(method, where, body)).json()["code"] == "alert_rule_not_found"
    assert await person("ada").get(path) == rule


async def test_the_url_and_the_secret_of_a_webhook_are_shown_once_and_encrypted_at_rest(person, store, traces_url) -> None:
    mia = person("mia")

    made = await created(mia, webhook={"format": "slack", "url": URL})
    path = f"alert-rules/{made['rule']['rule_id']}"
    kept = (await mia.send("PUT", path, {**RULE, "name": "Other"})).json()
    other_format = (await mia.send("PUT", path, {**RULE, "webhook": {"format": "json"}})).json()
    new_url = (await mia.send("PUT", path, {**RULE, "webhook": {"format": "json", "url": URL + "2"}})).json()

    assert len(base64.b64decode(made["signing_secret"].removeprefix("whsec_"))) == 32
    assert made["rule"]["webhook"] == kept["rule"]["webhook"] == {"format": "slack", "host": "hooks.example.com"}
    assert (kept["signing_secret"], other_format["signing_secret"]) == (None, None)
    assert other_format["rule"]["webhook"]["format"] == "json"
    assert new_url["signing_secret"] not in {None, made["signing_secret"]}
    connection = await asyncpg.connect(traces_url)
    row = await connection.fetchrow("SELECT * FROM app.alert_rules WHERE project_id = $1", store.project_id)
    await connection.close()
    for secret in ("abcdefsecret", new_url["signing_secret"]):
        assert secret.encode() not in row["webhook_sealed"]
        assert secret not in json.dumps(dict(row), default=str)
        assert secret not in json.dumps(await mia.get("alert-rules"))
    removed = (await mia.send("PUT", path, {**RULE, "webhook": None})).json()
    assert removed["rule"]["webhook"] is None
    assert (await mia.send("PUT", path, {**RULE, "webhook": {"format": "json"}})).json()["code"] == "no_webhook"
    assert (await mia.send("POST", f"{path}/test")).json()["code"] == "no_webhook"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"name": ""}, 422, "invalid_name"),
        ({"name": "x" * 101}, 422, "invalid_name"),
        ({"measure": "median"}, 422, "invalid"),
        ({"threshold": 0}, 422, "invalid_threshold"),
        ({"threshold": -1}, 422, "invalid_threshold"),
        ({"threshold": 1e300}, 422, "invalid_threshold"),
        ({"threshold": 1.5}, 422, "invalid_threshold"),
        ({"measure": "waiting", "threshold": 301}, 422, "window_too_short"),
        ({"window_seconds": 59}, 422, "invalid"),
        ({"window_seconds": 604_801}, 422, "invalid"),
        ({"q": "status:"}, 400, None),
        ({"q": "a\x00"}, 422, "control_characters"),
        ({"q": "x" * 4_097}, 400, "query_too_long"),
        ({"webhook": {"format": "xml", "url": URL}}, 422, "invalid"),
        ({"webhook": {"format": "json", "url": "ftp://example.com/"}}, 422, "invalid_webhook_url"),
        ({"webhook": {"format": "json", "url": "https://"}}, 422, "invalid_webhook_url"),
        ({"webhook": {"format": "json", "url": f"https://{'a' * 600}/"}}, 422, "invalid_webhook_url"),
        ({"webhook": {"format": "json", "url": "https://user:pw@example.com/"}}, 422, "invalid_webhook_url"),
        ({"webhook": {"format": "json", "url": "https://example.com/\nx"}}, 422, "invalid_webhook_url"),
        ({"webhook": {"format": "json", "url": "https://example.com:99999/"}}, 422, "invalid_webhook_url"),
        ({"webhook": {"format": "json", "url": "https://example.com/#part"}}, 422, "invalid_webhook_url"),
        ({"webhook": {"format": "json", "url": "https://example.com/" + "x" * 2_048}}, 422, "invalid"),
        ({"q": "y" * 40_000}, 413, "too_large"),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_what_cannot_be_saved_is_refused_with_a_reason(person, change, status: int, code: str | None) -> None:
    mia = person("mia")
    rule = (await created(mia))["rule"]

    for method, path in (("POST", "alert-rules"), ("PUT", f"alert-rules/{rule['rule_id']}")):
        response = await mia.send(method, path, {**RULE, "name": "other", **change})
        assert response.headers["content-type"] == "application/problem+json"
        assert (response.status_code, code in {None, response.json()["code"]}) == (status, True), response.text
    assert (await mia.get("alert-rules"))["items"] == [rule]


async def test_names_are_unique_and_the_number_of_rules_is_limited_also_at_once(person, monkeypatch) -> None:
    monkeypatch.setattr(rules, "RULES_MAX", 3)
    mia = person("mia")

    responses = await asyncio.gather(*(mia.send("POST", "alert-rules", {**RULE, "name": f"r{n}"}) for n in range(6)))
    taken = await mia.send(
        "PUT",
        f"alert-rules/{(await mia.get('alert-rules'))['items'][0]['rule_id']}",
        {**RULE, "name": (await mia.get("alert-rules"))["items"][1]["name"]},
    )

    assert (
        sorted((one.status_code, one.json().get("code", "")) for one in responses) == [(201, "")] * 3 + [(409, "too_many_alert_rules")] * 3
    )
    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")


async def test_rules_are_listed_in_pages_by_name(person) -> None:
    mia = person("mia")
    for name in ("b", "c", "a"):
        await created(mia, name=name)

    first = await mia.get("alert-rules", limit=2)
    second = await mia.get("alert-rules", limit=2, cursor=first["next_cursor"])

    assert [item["name"] for item in first["items"] + second["items"]] == ["a", "b", "c"]
    assert second["next_cursor"] is None


async def test_without_a_key_webhooks_cannot_be_stored(make_query_app, store, project_of) -> None:
    async with AsyncTestClient(make_query_app(secret_key="")) as client:
        mia = project_of(client, store.project_id, "mia")
        refused = await mia.send("POST", "alert-rules", {**RULE, "webhook": {"format": "json", "url": URL}})
        assert (refused.status_code, refused.json()["code"]) == (409, "webhooks_unavailable")


async def test_nothing_is_saved_in_a_project_that_was_deleted(person, store) -> None:
    await store.execute("INSERT INTO app.deleted_projects (project_id, deleted_by, at_us) VALUES ($1, 'olga', 1)", store.project_id)

    refused = await person("mia").send("POST", "alert-rules", RULE)

    assert (refused.status_code, refused.json()["code"]) == (404, "project_not_found")


async def test_the_database_role_sees_and_changes_rows_of_its_project_alone(traces_url, store, foreign, person, stranger) -> None:
    await created(person("mia"))
    theirs = (await created(stranger))["rule"]["rule_id"]
    reader = await asyncpg.connect(f"{traces_url}?role=ams_reader")
    try:
        await reader.execute("SELECT set_config('ams.project_id', $1, false)", store.project_id)
        for table in ("alert_rules", "alert_states", "alert_outbox", "alerts", "alert_deliveries"):
            assert {row["project_id"] for row in await reader.fetch(f"SELECT project_id FROM app.{table}")} <= {store.project_id}
        assert await reader.fetchval("SELECT count(*) FROM app.alert_due WHERE id = $1", theirs) == 1  # the queue has ids and times
        for statement in ("UPDATE app.alert_due SET at_us = 0 WHERE id = $1", "DELETE FROM app.alert_due WHERE id = $1"):
            assert (await reader.execute(statement, theirs)).endswith(" 0")
        assert await reader.execute("DELETE FROM app.alert_rules WHERE rule_id = $1", theirs) == "DELETE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("UPDATE app.alert_rules SET project_id = $1", foreign.project_id)
    finally:
        await reader.close()
