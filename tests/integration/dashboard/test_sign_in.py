"""Who gets in, who may change what, and what a page from elsewhere can do: nothing."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from pydantic import SecretStr

from agent.api.app import create_app
from agent.dashboard.entry.login_limit import MOST_OF_A_NAME
from agent.dashboard.entry.passwords import hash_password
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context
from tests.integration.dashboard.conftest import HOST, Meet, Person, TestClient

PAGES = ("", "/services", "/workers", "/bridge", "/contexts", "/contexts/ctx_1", "/requests",
         "/retries", "/schedules", "/dead", "/audit", "/no-such-page")  # fmt: skip


def test_no_page_is_seen_without_signing_in(meet: Meet) -> None:
    """Not even whether there is one; what was wanted is come back to."""
    person = meet()
    for path in PAGES:
        reply = person.get(path, follow_redirects=False)
        assert reply.status_code == 303
        assert reply.headers["location"] == f"/dashboard/login?next=/dashboard{path}"


def test_the_right_password_opens_the_page_that_was_wanted(meet: Meet) -> None:
    """The session's cookie is for this host alone, and no script can read it."""
    person = meet()
    reply = person.post("/login", name="viewer", password="correct horse battery",
                        next="/dashboard/workers")  # fmt: skip
    assert reply.url.path == "/dashboard/workers"
    cookie = reply.history[0].headers["set-cookie"]
    assert cookie.startswith("__Host-agent=")
    for word in ("HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=4"):
        assert word in cookie


def test_a_wrong_password_or_name_opens_nothing(meet: Meet) -> None:
    """Both are answered alike, so that no name is found out."""
    person = meet()
    for name, password in (("viewer", "wrong"), ("nobody", "correct horse battery"), ("", ""),
                           ("viewer", "x" * 60_000)):  # fmt: skip
        reply = person.sign_in(name, password)
        assert reply.status_code == 403
        assert "Name or password is wrong." in reply.text
        assert person.get(follow_redirects=False).status_code == 303


def test_guessing_is_slowed_down(meet: Meet) -> None:
    """After so many tries even the right password has to wait."""
    for _ in range(MOST_OF_A_NAME):
        assert meet().sign_in("admin", "wrong").status_code == 403
    reply = meet().sign_in("admin")
    assert reply.status_code == 429
    assert "Too many tries" in reply.text


def test_signing_in_leads_nowhere_else(meet: Meet) -> None:
    """A link to the page may have been made by anybody."""
    for next_ in ("https://evil.example", "//evil.example", "/dashboard\\evil", "/dashboardx",
                  "javascript:alert(1)"):  # fmt: skip
        reply = meet().post("/login", name="viewer", password="correct horse battery", next=next_)
        assert (reply.url.host, reply.url.path) == ("agent.example", "/dashboard"), next_


def test_signing_out_ends_the_session_of_this_browser(operator: Person) -> None:
    """The next page asks who it is."""
    assert operator.post("/logout").url.path == "/dashboard/login"
    assert operator.get(follow_redirects=False).status_code == 303


def test_a_session_ends_when_its_user_gets_another_password(
    operator: Person, guarded: Settings, repository: MongoContextRepository, client: redis.Redis
) -> None:
    """As with a user that is taken away: the settings count, not the cookie."""
    users = f"operator:operator:{hash_password('another good password')}"
    changed = guarded.model_copy(update={"dashboard_users": SecretStr(users)})
    app = create_app(changed, repository=repository, client=client)
    later = TestClient(app, base_url=HOST, cookies=operator.browser.cookies)
    assert later.get("/dashboard", follow_redirects=False).status_code == 303


def test_a_cookie_that_we_did_not_sign_is_none(meet: Meet) -> None:
    """Whoever makes one up stands where they stood."""
    for cookie in ("x", "e30.AAAA", "a" * 4000):
        person = meet()
        person.browser.cookies.set("__Host-agent", cookie)
        assert person.get(follow_redirects=False).status_code == 303


CHANGES: tuple[tuple[str, dict[str, str]], ...] = (
    ("/services/GENERATIVE/pause", {"reason": "a new key"}),
    ("/services/GENERATIVE/resume", {}),
    ("/contexts/ctx_1/cancel", {}),
    ("/contexts/ctx_1/retry", {}),
    ("/contexts/ctx_1/run-now", {}),
    ("/contexts/ctx_1/priority", {"priority": "1"}),
    ("/schedules/nightly/pause", {}),
    ("/schedules/nightly/resume", {}),
    ("/schedules/nightly/run", {}),
    ("/dead/retry", {"service": "GENERATIVE", "kind": "abc", "reason": "mended"}),
    ("/dead/retry", {"scope": "all", "reason": "mended"}),
    ("/retries/change", {"what": "cancel", "scope": "all", "count": "9", "reason": "x"}),
)


def test_who_may_only_look_changes_nothing(
    viewer: Person, repository: MongoContextRepository
) -> None:
    """And is offered nothing; each change is refused before it is looked at."""
    for path, fields in CHANGES:
        reply = viewer.post(path, **fields)
        assert reply.status_code == 403
        assert "may look, and change nothing" in reply.text
    assert repository.page_of_audit(limit=10) == []


ELSEWHERE = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)


def test_a_change_that_comes_from_elsewhere_is_refused(
    operator: Person, repository: MongoContextRepository
) -> None:
    """Even with the cookie and the right token."""
    for headers in ELSEWHERE:
        reply = operator.post("/services/GENERATIVE/pause", headers=headers, reason="x")
        assert reply.status_code == 403, headers
    assert repository.service_states() == {}


def test_a_change_without_the_token_of_its_session_is_refused(
    operator: Person, repository: MongoContextRepository
) -> None:
    """A form that somebody else wrote cannot know it."""
    for token in ("", "wrong", "ü"):
        reply = operator.post("/services/GENERATIVE/pause", csrf=token, reason="x")
        assert reply.status_code == 403, token
    assert repository.service_states() == {}


FORM = "application/x-www-form-urlencoded"
NO_FORMS: tuple[tuple[Any, str], ...] = (
    ("csrf=x&" * 60, FORM),
    ("a=" + "x" * 70_000, FORM),
    ("{}", "application/json"),
    (b"\xff\xfe", FORM),
)


def test_what_is_no_form_of_ours_is_refused(operator: Person) -> None:
    """Too large, of too many fields, of another kind, or no text."""
    for body, kind in NO_FORMS:
        reply = operator.browser.post("/dashboard/services/GENERATIVE/pause", content=body,
                                      headers={"Origin": HOST, "Content-Type": kind})  # fmt: skip
        assert reply.status_code in (400, 403), body[:10]
        assert "text/html" in reply.headers["content-type"]


def test_every_reply_says_what_a_browser_may_do(operator: Person) -> None:
    """Nothing from elsewhere, nothing inline, in no frame."""
    for path in ("", "/login", "/nix", "/static/theme.js", "/contexts?status=x"):
        headers = operator.get(path, follow_redirects=False).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        if "static" not in path:
            assert headers["cache-control"] == "no-store"


def test_no_page_has_a_style_or_a_script_inside(operator: Person) -> None:
    """The policy would not let them work."""
    for path in PAGES:
        text = operator.get(path).text
        assert "<style" not in text
        assert " style=" not in text
        assert text.count("<script") == text.count("<script src=") + text.count(
            "<script defer src="
        )


def test_in_production_without_users_nobody_sees_a_page(
    settings: Settings, repository: MongoContextRepository, client: redis.Redis
) -> None:
    """The page says what to set."""
    app = create_app(settings, repository=repository, client=client)
    reply = TestClient(app, base_url=HOST).get("/dashboard")
    assert reply.status_code == 403
    assert "AGENT_DASHBOARD_USERS" in reply.text


def test_in_production_users_of_the_dashboard_do_not_open_the_api(meet: Meet) -> None:
    """Without keys nobody has one."""
    assert meet().browser.get("/v1/services").status_code == 401


@pytest.mark.parametrize(
    ("peer", "host", "status"),
    [("127.0.0.1", "localhost:8000", 200), ("127.0.0.1", "evil.example", 403),
     ("10.0.0.7", "localhost:8000", 403)],
)  # fmt: skip
def test_in_development_without_users_it_is_open_to_this_machine(
    settings: Settings, repository: MongoContextRepository, client: redis.Redis,
    *, peer: str, host: str, status: int,
) -> None:  # fmt: skip
    """And says so on every page; a name that leads here from elsewhere does not count."""
    open_ = settings.model_copy(update={"env": "development"})
    app = create_app(open_, repository=repository, client=client)
    browser = TestClient(app, base_url=f"http://{host}", client=(peer, 1))
    reply = browser.get("/dashboard")
    assert reply.status_code == status
    assert ("Open to everybody on this machine" in reply.text) == (status == 200)


def test_in_development_without_users_a_page_from_elsewhere_changes_nothing(
    settings: Settings, repository: MongoContextRepository, client: redis.Redis
) -> None:
    """There is a session all the same, and its token is needed."""
    repository.insert_contexts([a_context(_id="ctx_1")])
    open_ = settings.model_copy(update={"env": "development"})
    app = create_app(open_, repository=repository, client=client)
    browser = TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1))
    reply = browser.post("/dashboard/contexts/ctx_1/cancel", headers={"Origin": "http://localhost"},
                         data={"reason": "x"})  # fmt: skip
    assert reply.status_code == 403
    assert repository.find_status("ctx_1") == "pending"
