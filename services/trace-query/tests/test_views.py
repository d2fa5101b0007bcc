"""Saved views: who sees and changes them, what is refused, and the walls in the database."""

import asyncio
import json

import asyncpg
import pytest

from ams_trace_query import views

SLOW = {
    "name": "Slow and failed",
    "visibility": "shared",
    "page": "tasks",
    "q": "status:error latency:>2s",
    "sort": "-duration",
    "columns": ["name", "duration", "tag.env"],
    "range": {"last": "24h", "from": None, "to": None},
}


@pytest.fixture
def person(http, store, project_of):
    """Sends requests as one of the people of the project."""
    return lambda user: project_of(http, store.project_id, user)


@pytest.fixture
def stranger(http, foreign, project_of):
    """A member of the other project, in that project."""
    return project_of(http, foreign.project_id, "fay")


async def saved(person, **changes) -> dict:
    response = await person.send("POST", "views", {**SLOW, **changes})
    assert response.status_code == 201, response.text
    return response.json()


async def names(person) -> list[str]:
    return [item["name"] for item in (await person.get("views"))["items"]]


async def test_a_shared_view_is_read_changed_and_deleted_by_every_member(person) -> None:
    mia, max_, ada = person("mia"), person("max"), person("ada")

    view = await saved(mia)

    assert {name: view[name] for name in SLOW} == SLOW
    assert (view["author_id"], view["updated_by"]) == ("mia", "mia")
    assert await ada.get(f"views/{view['view_id']}") == view
    changed = await max_.send("PUT", f"views/{view['view_id']}", {"name": "All", "visibility": "shared"})
    assert changed.status_code == 200
    assert {**changed.json(), "created_at_us": 0} == {
        **view, "created_at_us": 0, "name": "All", "q": "", "sort": None, "columns": None, "updated_by": "max",
        "range": {"last": None, "from": None, "to": None}, "updated_at_us": changed.json()["updated_at_us"],
    }  # fmt: skip
    assert (await person("olga").send("DELETE", f"views/{view['view_id']}")).status_code == 204
    assert (await ada.problem(f"views/{view['view_id']}"))["code"] == "view_not_found"


async def test_a_private_view_exists_for_its_author_alone(person) -> None:
    mia, olga = person("mia"), person("olga")
    view = await saved(mia, visibility="private")
    path = f"views/{view['view_id']}"

    assert await names(mia) == ["Slow and failed"]
    assert await names(olga) == []
    assert (await olga.problem(path))["code"] == "view_not_found"
    for method, body in (("PUT", SLOW), ("DELETE", None)):
        refused = await olga.send(method, path, body)
        assert (refused.status_code, refused.json()["code"]) == (404, "view_not_found")
    assert await mia.get(path) == view


async def test_a_viewer_and_a_key_read_and_change_nothing(person, http, store) -> None:
    view = await saved(person("mia"))
    path = f"views/{view['view_id']}"
    key = {"Authorization": "Bearer ams_read"}

    for method, where, body in (("POST", "views", SLOW), ("PUT", path, SLOW), ("DELETE", path, None)):
        by_viewer = await person("ada").send(method, where, body)
        by_key = await http.request(method, f"/api/traces/{store.project_id}/{where}", headers=key, **({"json": body} if body else {}))
        assert [(one.status_code, one.json()["code"]) for one in (by_viewer, by_key)] == [(403, "role_too_low")] * 2
    assert (await http.get(f"/api/traces/{store.project_id}/{path}", headers=key)).json() == view


async def test_a_member_of_another_project_changes_nothing_here_and_finds_nothing_there(person, http, store, foreign, project_of) -> None:
    view = await saved(person("mia"))
    here, there = project_of(http, store.project_id, "fay"), project_of(http, foreign.project_id, "fay")

    for method, where, body in (
        ("POST", "views", SLOW),
        ("PUT", f"views/{view['view_id']}", SLOW),
        ("DELETE", f"views/{view['view_id']}", None),
    ):
        assert (await here.send(method, where, body)).json()["code"] == "project_not_found"
        if method != "POST":
            assert (await there.send(method, where, body)).json()["code"] == "view_not_found"
    assert await names(person("mia")) == ["Slow and failed"]


async def test_a_name_is_unique_among_shared_views_and_among_those_of_an_author(person) -> None:
    mia, max_ = person("mia"), person("max")
    await saved(mia)
    await saved(mia, visibility="private")
    mine = await saved(max_, visibility="private")

    for one, visibility in ((max_, "shared"), (mia, "private")):
        taken = await one.send("POST", "views", {**SLOW, "visibility": visibility})
        assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
    shared = await max_.send("PUT", f"views/{mine['view_id']}", SLOW)
    assert (shared.status_code, shared.json()["code"]) == (409, "name_taken")
    assert await max_.get(f"views/{mine['view_id']}") == mine


async def test_only_its_author_makes_a_shared_view_private(person) -> None:
    view = await saved(person("mia"))
    path, private = f"views/{view['view_id']}", {**SLOW, "visibility": "private"}

    refused = await person("olga").send("PUT", path, private)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_the_author")

    assert (await person("mia").send("PUT", path, private)).status_code == 200
    assert await names(person("olga")) == []


async def test_pages_are_in_the_order_of_names_and_cursors_are_for_one_person(person) -> None:
    mia = person("mia")
    for name in ("b", "d", "a", "c", "é"):
        await saved(mia, name=name)

    first = await mia.get("views", limit=2)
    second = await mia.get("views", limit=2, cursor=first["next_cursor"])
    third = await mia.get("views", limit=2, cursor=second["next_cursor"])

    assert [[item["name"] for item in page["items"]] for page in (first, second, third)] == [["a", "b"], ["c", "d"], ["é"]]
    assert third["next_cursor"] is None
    assert (await person("max").problem("views", cursor=first["next_cursor"]))["code"] == "bad_cursor"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"name": ""}, 422, "invalid_name"),
        ({"name": "x" * 101}, 422, "invalid_name"),
        ({"name": "a\x00b"}, 422, "invalid_name"),
        ({"name": "a\ud800"}, 400, "malformed_json"),
        ({"name": None}, 422, "invalid"),
        ({"visibility": "public"}, 422, "invalid"),
        ({"page": "nowhere"}, 422, "invalid"),
        ({"q": "status:"}, 400, None),
        ({"q": "x" * 4_097}, 400, "query_too_long"),
        ({"q": "a\x00"}, 422, "control_characters"),
        ({"sort": "a\nb"}, 422, "control_characters"),
        ({"sort": "x" * 101}, 422, "invalid"),
        ({"columns": []}, 422, "invalid"),
        ({"columns": ["a", "a"]}, 422, "duplicate_column"),
        ({"columns": [str(n) for n in range(65)]}, 422, "invalid"),
        ({"range": {"last": "0h"}}, 422, "invalid_range"),
        ({"range": {"last": "1h", "to": "2026-06-21T00:00:00Z"}}, 422, "invalid_range"),
        ({"range": {"last": "91d"}}, 422, "range_too_wide"),
        ({"range": {"from": "yesterday"}}, 422, "bad_time"),
        ({"range": {"from": "2026-06-21T00:00:00"}}, 422, "time_zone_required"),
        ({"range": {"from": "2026-06-21T00:00:00Z", "to": "2026-06-20T00:00:00Z"}}, 422, "empty_range"),
        ({"range": None}, 422, "invalid"),
        ({"q": "y" * 40_000}, 413, "too_large"),
    ],
    ids=repr,
)
async def test_what_cannot_be_saved_is_refused_with_a_reason(person, change, status: int, code: str | None) -> None:
    mia = person("mia")
    view = await saved(mia)
    body = json.dumps({**SLOW, "name": "other", **change})

    for method, path in (("POST", "views"), ("PUT", f"views/{view['view_id']}")):
        response = await mia._client.request(
            method, f"/api/traces/{mia._project_id}/{path}", headers={**mia._headers, "Content-Type": "application/json"}, content=body
        )
        assert response.headers["content-type"] == "application/problem+json"
        assert response.status_code == status, response.text
        assert code in {None, response.json()["code"]}
    assert await mia.get("views") == {"items": [view], "next_cursor": None}


@pytest.mark.parametrize("view_id", ["x", "%00", "A" * 36, "019aa000-0000-4000-8000-00000000000"])
async def test_a_malformed_id_is_not_found(person, view_id: str) -> None:
    assert (await person("mia").problem(f"views/{view_id}"))["code"] == "view_not_found"


async def test_the_number_of_views_is_limited_for_an_author_and_for_a_project_also_at_once(person, monkeypatch) -> None:
    monkeypatch.setattr(views, "VIEWS_OF_AUTHOR_MAX", 3)
    monkeypatch.setattr(views, "VIEWS_MAX", 5)

    async def save(user: str, number: int) -> tuple[int, str]:
        response = await person(user).send("POST", "views", {**SLOW, "name": f"{user} {number}"})
        return response.status_code, response.json().get("code", "")

    of_mia = await asyncio.gather(*(save("mia", number) for number in range(6)))
    others = [await save("max", 1), await save("olga", 1), await save("max", 2)]

    assert sorted(of_mia) == [(201, "")] * 3 + [(409, "too_many_views")] * 3
    assert others == [(201, ""), (201, ""), (409, "too_many_views")]


async def test_nothing_is_saved_in_a_project_that_was_deleted(person, store) -> None:
    await store.execute("INSERT INTO app.deleted_projects (project_id, deleted_by, at_us) VALUES ($1, 'olga', 1)", store.project_id)

    refused = await person("mia").send("POST", "views", SLOW)

    assert (refused.status_code, refused.json()["code"]) == (404, "project_not_found")


async def test_the_database_role_writes_rows_of_its_project_alone(traces_url, store, foreign, person, stranger) -> None:
    await saved(person("mia"))
    view = await saved(stranger)
    reader = await asyncpg.connect(f"{traces_url}?role=ams_reader")
    try:
        await reader.execute("SELECT set_config('ams.project_id', $1, false)", store.project_id)
        assert await reader.execute("UPDATE app.saved_views SET q = 'x' WHERE view_id = $1", view["view_id"]) == "UPDATE 0"
        assert await reader.execute("DELETE FROM app.saved_views WHERE view_id = $1", view["view_id"]) == "DELETE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("UPDATE app.saved_views SET project_id = $1", foreign.project_id)
        for statement in (
            "SELECT secret_hash FROM app.share_links",
            "DELETE FROM app.share_links",
            "TRUNCATE app.saved_views",
            "UPDATE app.deleted_projects SET announced = false",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.execute(statement)
    finally:
        await reader.close()
