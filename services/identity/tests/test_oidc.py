"""Signing in by real OpenID providers: accounts that are made and linked, answers that are refused, groups, second factors, signing out."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
from services.identity.tests.browsers import (
    BACK,
    PROJECT,
    Browser,
    Sql,
    code_of_answer,
    email_of,
    make_proof_old,
    new_person_at,
    own_round_trip,
    signed_in,
)
from services.identity.tests.clients import PASSWORD, Person, Server
from services.identity.tests.factors import add_app, code_of
from tests.openid_provider import OpenIdProvider, sign_in_there

from ams_identity.oidc_flow import COOKIE

pytestmark = [pytest.mark.usefixtures("moved_clock"), pytest.mark.timeout(180)]


def test_a_person_gets_an_account_comes_back_to_it_and_signs_out(browser: Browser, ada: str, acme: OpenIdProvider, sql: Sql) -> None:
    rules = browser.http.get("/api/auth/rules").json()
    assert (rules["password_login"], rules["providers"][0]) == (True, {"id": "acme", "name": "Acme"})

    first = signed_in(browser.sign_in(ada), browser)
    me = first.get("/api/users/me").json()
    assert (me["username"], me["email"], me["email_verified"], me["has_password"]) == (ada, email_of(ada, acme), True, False)
    assert me["default_project_id"] is not None
    assert COOKIE not in browser.http.cookies
    second = signed_in(browser.sign_in(ada), browser)
    assert second.user_id == first.user_id
    assert [row["action"] for row in sql("select action from audit where user_id = $1 order by audit_id", first.user_id)].count(
        "identity.linked"
    ) == 1

    left = second.post("/api/auth/oidc/own/end")
    leave = left.json()["url"]
    assert leave.startswith(f"{acme.issuer}/session/end?")
    assert parse_qs(urlsplit(leave).query)["post_logout_redirect_uri"] == [f"{BACK}/signin"]
    assert httpx.get(leave).status_code == 200
    assert 'ams_refresh=""' in left.headers["set-cookie"]
    assert second.get("/api/users/me").status_code == 401
    assert second.post("/api/auth/logout").status_code == 204
    stored = sql("select sealed_id_token from identities where user_id = $1", first.user_id)[0]["sealed_id_token"]
    assert ada.encode() not in stored


def test_an_answer_is_accepted_once_in_the_browser_that_asked(
    new_browser: Callable[..., Browser], ada: str, acme: OpenIdProvider, server: Server
) -> None:
    browser, thief = new_browser(), new_browser()
    answer = sign_in_there(browser.start(), ada)
    assert code_of_answer(thief.answer(answer)) == (401, "sign_in_expired")
    thief.start()
    assert code_of_answer(thief.answer(answer)) == (401, "sign_in_expired")
    for wrong in ({"state": answer["state"][:-2]}, {"state": ""}, {"state": answer["state"].replace("acme", "beta")}):
        assert code_of_answer(browser.answer(answer | wrong)) == (401, "sign_in_expired")
    for wrong in ({"iss": f"{acme.issuer}/"}, {"iss": "https://evil.example.com"}):
        assert code_of_answer(browser.answer(answer | wrong)) == (401, "invalid_provider_answer")
    without_iss = {name: value for name, value in answer.items() if name != "iss"}
    assert code_of_answer(browser.answer(without_iss)) == (401, "invalid_provider_answer")
    assert browser.http.post("/api/auth/oidc/callback", json={"provider": "acme", **answer, "redirect_uri": "x"}).status_code == 422
    assert browser.answer(answer).status_code == 200

    browser.start()
    assert code_of_answer(browser.answer(answer)) == (401, "sign_in_expired")  # the cookie is another one, and the state was used
    new = sign_in_there(browser.start(), ada)
    assert code_of_answer(browser.answer(new | {"code": answer["code"]})) == (401, "sign_in_expired")  # a code of an earlier sign-in
    late = sign_in_there(browser.start(), ada)
    server.clock.offset += 601
    assert code_of_answer(browser.answer(late)) == (401, "sign_in_expired")


def test_a_state_that_was_answered_is_used_up_also_in_the_same_browser(browser: Browser, ada: str) -> None:
    answer = sign_in_there(browser.start(), ada)
    cookie = browser.http.cookies[COOKIE]
    assert browser.answer(answer).status_code == 200
    browser.http.cookies.set(COOKIE, cookie)

    assert code_of_answer(browser.answer(answer)) == (401, "sign_in_expired")


def test_answers_of_two_providers_are_not_mixed_up(browser: Browser, acme: OpenIdProvider, beta: OpenIdProvider) -> None:
    at_acme, at_beta = new_person_at(acme), new_person_at(beta)
    of_beta = sign_in_there(browser.start("beta"), at_beta)
    to_acme = sign_in_there(browser.start("acme"), at_acme)

    assert code_of_answer(browser.answer(of_beta, "acme")) == (401, "invalid_provider_answer")
    assert code_of_answer(browser.answer(to_acme | {"iss": of_beta["iss"]}, "acme")) == (401, "invalid_provider_answer")
    # Acme does not know a code of Beta, though everything else is Acme's
    assert code_of_answer(browser.answer(to_acme | {"code": of_beta["code"]}, "acme")) == (401, "sign_in_expired")
    assert code_of_answer(browser.answer(of_beta, "nobody")) == (404, "unknown_provider")


def test_people_are_sent_to_the_provider_and_back_to_one_address_only(browser: Browser, acme: OpenIdProvider) -> None:
    headers = {"Host": "evil.example.com", "X-Forwarded-Host": "evil.example.com"}
    url = browser.http.post("/api/auth/oidc/start", json={"provider": "acme"}, headers=headers).json()["url"]
    query = parse_qs(urlsplit(url).query)

    assert url.startswith(f"{acme.issuer}/auth?")
    assert query["redirect_uri"] == [f"{BACK}/signin/callback/acme"]
    assert (query["code_challenge_method"], query["response_type"], query["scope"]) == (["S256"], ["code"], ["openid email profile"])
    assert httpx.get(url.replace("localhost%3A8080", "evil.example.com")).status_code == 400
    assert (
        browser.http.post("/api/auth/oidc/start", json={"provider": "acme"}, headers={"Origin": "https://evil.example.com"}).status_code
        == 403
    )
    assert code_of_answer(browser.http.post("/api/auth/oidc/start", json={"provider": "http://169.254.169.254"})) == (
        404,
        "unknown_provider",
    )


def test_a_refusal_says_what_to_do(browser: Browser, acme: OpenIdProvider, beta: OpenIdProvider, server: Server, sql: Sql) -> None:
    ada = new_person_at(acme)
    cancelled = sign_in_there(browser.start(), ada, action="abort")
    assert code_of_answer(browser.answer(without(cancelled, "error_description"))) == (403, "denied_by_provider")
    unverified = new_person_at(acme, email_verified=False)
    assert code_of_answer(browser.sign_in(unverified)) == (403, "email_not_verified")
    assert sql("select 1 from users where email_key = $1", email_of(unverified, acme)) == []
    assert code_of_answer(browser.sign_in(new_person_at(beta, email="x@elsewhere.example.com"), "beta")) == (403, "email_domain")
    assert code_of_answer(browser.http.post("/api/auth/oidc/start", json={"provider": "down"})) == (503, "provider_unavailable")
    skewed = sign_in_there(browser.start(), ada)
    server.clock.offset -= 300
    assert code_of_answer(browser.answer(skewed)) == (409, "clock_skew")


def without(params: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in params.items() if key != name}


def test_only_an_account_with_a_verified_address_is_linked_by_it(
    browser: Browser, acme: OpenIdProvider, new_person: Callable[[], Person], sql: Sql
) -> None:
    owner = new_person()
    ada = new_person_at(acme, email=owner.email.upper())

    assert code_of_answer(browser.sign_in(ada)) == (409, "link_required")
    sql("update users set email_verified_at = now(), kind = 'service' where id = $1", owner.user_id)
    assert code_of_answer(browser.sign_in(ada)) == (409, "link_required")
    sql("update users set kind = 'person' where id = $1", owner.user_id)
    assert signed_in(browser.sign_in(ada), browser).user_id == owner.user_id

    # the subject is the identity: a changed address leads to the same account, a person who got the address to none
    acme.put(ada, email=f"new-{owner.email}", email_verified=True)
    again = signed_in(browser.sign_in(ada), browser)
    assert (again.user_id, again.email) == (owner.user_id, owner.email)
    assert again.get("/api/users/me/identities").json()["items"][0]["email"] == f"new-{owner.email}"
    assert code_of_answer(browser.sign_in(new_person_at(acme, email=owner.email))) == (409, "other_identity")
    sql("update users set disabled_at = now() where id = $1", owner.user_id)
    assert code_of_answer(browser.sign_in(ada)) == (403, "account_disabled")


def test_a_person_links_and_unlinks_a_provider_on_the_account_page(
    new_browser: Callable[..., Browser], acme: OpenIdProvider, ada: str, new_person: Callable[[], Person], sql: Sql
) -> None:
    browser = new_browser()
    somebody = new_person()
    owner = msgspec.structs.replace(somebody, client=browser.http)
    assert own_round_trip(owner, browser, "proof", ada).json()["code"] == "not_linked"

    linked = own_round_trip(owner, browser, "link", ada)
    assert (linked.status_code, linked.json()["linked"]["name"]) == (200, "Acme")
    assert owner.get("/api/users/me").json()["email_verified"] is False  # the address of the provider is another one
    assert own_round_trip(owner, browser, "link", ada).json()["code"] == "already_linked"
    other = new_browser()
    assert signed_in(other.sign_in(ada), other).user_id == owner.user_id
    rival = msgspec.structs.replace(new_person(), client=other.http)
    assert own_round_trip(rival, other, "link", ada).json()["code"] == "identity_taken"
    # an answer to one session is worth nothing in another
    url = owner.post("/api/auth/oidc/own/start", {"provider": "acme", "purpose": "proof"}).json()["url"]
    answer = {"provider": "acme", **sign_in_there(url, ada)}
    stranger = msgspec.structs.replace(rival, client=browser.http)
    assert code_of_answer(stranger.post("/api/auth/oidc/own/callback", answer)) == (401, "sign_in_expired")
    assert code_of_answer(browser.answer(without(answer, "provider"))) == (401, "sign_in_expired")

    make_proof_old(sql, owner)
    item = linked.json()["linked"]["identity_id"]
    assert owner.delete(f"/api/users/me/identities/{item}").json()["methods"] == ["password"]
    owner.post("/api/users/me/proof", {"password": PASSWORD})
    assert rival.delete(f"/api/users/me/identities/{item}").status_code == 404
    assert owner.delete(f"/api/users/me/identities/{item}").status_code == 204
    assert owner.get("/api/users/me/identities").json()["items"] == []
    assert signed_in(other.sign_in(ada), other).user_id != owner.user_id


def test_an_account_without_a_password_confirms_by_its_provider(browser: Browser, acme: OpenIdProvider, ada: str, sql: Sql) -> None:
    person = signed_in(browser.sign_in(ada), browser)
    item = person.get("/api/users/me/identities").json()["items"][0]["identity_id"]
    assert code_of_answer(person.delete(f"/api/users/me/identities/{item}")) == (409, "last_way_in")
    make_proof_old(sql, person)

    refused = person.post("/api/users/me/delete", {"password": ""})
    assert (refused.status_code, refused.json()["methods"]) == (403, ["provider"])
    assert own_round_trip(person, browser, "proof", new_person_at(acme)).json()["code"] == "another_person"
    assert own_round_trip(person, browser, "proof", ada).json() == {"linked": None}
    assert person.post("/api/users/me/delete", {"password": ""}).status_code == 204
    assert sql("select 1 from identities where user_id = $1", person.user_id) == []
    assert signed_in(browser.sign_in(ada), browser).user_id != person.user_id


def test_groups_give_and_take_roles_and_what_people_gave_stays(
    browser: Browser, acme: OpenIdProvider, ada: str, person: Person, sql: Sql
) -> None:
    owner = person
    sql("insert into projects (project_id, name, created_by, created_at) values ($1, 'of groups', $2, now())", PROJECT, owner.user_id)
    sql(
        "insert into members (project_id, user_id, role, by_hand, created_at) values ($1, $2, 'owner', 'owner', now())",
        PROJECT,
        owner.user_id,
    )

    def role_after(*groups: str) -> str | None:
        acme.put(ada, email=email_of(ada, acme), email_verified=True, groups=list(groups))
        user_id = signed_in(browser.sign_in(ada), browser).user_id
        found = sql("select role from members where project_id = $1 and user_id = $2", PROJECT, user_id)
        return found[0]["role"] if found else None

    assert [role_after("readers"), role_after("readers", "leads"), role_after("readers"), role_after("else")] == [
        "viewer",
        "owner",
        "viewer",
        None,
    ]
    role_after("readers")
    ada_id = sql("select id from users where username = $1", ada)[0]["id"]
    assert owner.patch(f"/api/projects/{PROJECT}/members/{ada_id}", {"role": "member"}).status_code == 204
    assert [role_after("leads"), role_after()] == ["owner", "member"]
    assert owner.delete(f"/api/projects/{PROJECT}/members/{ada_id}").status_code == 204
    assert role_after() is None

    assert role_after("leads") == "owner"
    assert owner.delete(f"/api/projects/{PROJECT}/members/{owner.user_id}").status_code == 204
    assert role_after() == "owner"  # the last one stays
    last = sql("select action, outcome from audit where project_id = $1 order by audit_id desc limit 1", PROJECT)[0]
    assert (last["action"], last["outcome"]) == ("member.removed", "refused")


def test_a_second_factor_follows_unless_that_of_the_provider_counts(
    browser: Browser, beta: OpenIdProvider, ada: str, server: Server, sql: Sql
) -> None:
    owner = signed_in(browser.sign_in(ada), browser)
    project_id = owner.get("/api/users/me").json()["default_project_id"]
    secret, _ = add_app(server, owner)
    assert code_of_answer(own_round_trip(owner, browser, "proof", ada)) == (422, "second_factor_required")
    first = browser.sign_in(ada)
    assert "access_token" not in first.json()
    token = first.json()["second_factor_token"]
    second = browser.http.post("/api/auth/second-factor", json={"token": token, "code": code_of(server, secret)})
    assert signed_in(second, browser).post("/api/auth/oidc/own/end").json()["url"] is not None

    # at Beta, the word of the provider counts: for the account with an app, and for a project that requires a factor
    eve = new_person_at(beta, amr=["pwd", "mfa"])
    visitor = signed_in(browser.sign_in(eve, "beta"), browser)
    sql("update projects set second_factor_required = true where project_id = $1", project_id)
    sql(
        "insert into members (project_id, user_id, role, by_hand, created_at) values ($1, $2, 'viewer', 'viewer', now())",
        project_id,
        visitor.user_id,
    )
    assert visitor.get(f"/api/projects/{project_id}").status_code == 200
    assert visitor.get("/api/users/me").json()["second_factor"] is True
    beta.put(eve, email=email_of(eve, beta), email_verified=True, amr=["pwd"])
    assert signed_in(browser.sign_in(eve, "beta"), browser).get(f"/api/projects/{project_id}").status_code == 403
    beta.put(eve, email=email_of(eve, beta), email_verified=True, amr=["mfa"])
    again = signed_in(browser.sign_in(eve, "beta"), browser)
    assert again.get(f"/api/projects/{project_id}").status_code == 200
    assert visitor.get("/api/users/me").status_code == 401  # it began before a factor was proved again
    add_app(server, again)
    assert signed_in(browser.sign_in(eve, "beta"), browser).user_id == visitor.user_id


def test_without_passwords_only_providers_open_the_door(
    new_browser: Callable[..., Browser], closed_door: str, acme: OpenIdProvider, ada: str, person: Person
) -> None:
    closed, known = new_browser(closed_door), new_browser()
    account = {"username": "somebody-new", "email": "somebody-new@example.com", "password": PASSWORD}
    for path, body in (
        ("/api/auth/login", {"login": person.username, "password": PASSWORD}),
        ("/api/auth/register", account),
        ("/api/auth/passkey/options", None),
        ("/api/auth/password-reset", {"token": "x", "new_password": PASSWORD}),
    ):
        assert code_of_answer(closed.http.post(path, json=body)) == (403, "password_login_off"), path
    assert closed.http.get("/api/auth/rules").json()["password_login"] is False
    assert code_of_answer(closed.sign_in(ada)) == (403, "registration_closed")

    fake = new_person_at(acme, email="root@acme.example.com", email_verified=False)
    assert code_of_answer(closed.sign_in(fake)) == (403, "email_not_verified")
    root = signed_in(closed.sign_in(new_person_at(acme, email="root@acme.example.com")), closed)
    assert root.get("/api/users/me").json()["administrator"] is True
    signed_in(known.sign_in(ada), known)
    assert closed.sign_in(ada).status_code == 200
