"""Logins over HTTP: passwords, pauses, sessions, proxies, and where one is sent afterwards."""

from __future__ import annotations

import contextlib
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import sqlalchemy as sa

from mediajobs_dagster.access import logins
from mediajobs_dagster.access.logins import OF_ADDRESS, OF_NAME
from mediajobs_dagster.console import live, login_gate
from mediajobs_dagster.console.app import console_app
from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.gate.gate import Gate
from mediajobs_dagster.gate.names import Names
from mediajobs_dagster.history import acting_as
from mediajobs_dagster.history.later import never
from mediajobs_dagster.history.schema import login_attempts, sessions
from mediajobs_dagster.history.tokens import Scope
from mediajobs_dagster.history.users import Role
from mediajobs_dagster.orchestration.outside import FromDagster
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.console.conftest import dagster_ui
from tests.servers.asgi import Answer, Headers, refused_websocket, send, serving
from tests.servers.postgres import running_postgres, start_postgres

PASSWORD = "correct horse battery"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
Open = Callable[..., str]


@pytest.fixture
def media(tmp_path: Path) -> Iterator[MediaJobs]:
    """An installation with a viewer and an operator."""
    with MediaJobs(Settings.load(_env_file=None, home=tmp_path / "home")) as media:
        media.users.add("vera", Role.VIEWER, PASSWORD)
        media.users.add("olga", Role.OPERATOR, PASSWORD)
        yield media


@pytest.fixture(autouse=True)
def slow_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pause after wrong passwords outlasts a test, on whatever machine."""
    for name, limit in (("OF_NAME", OF_NAME), ("OF_ADDRESS", OF_ADDRESS)):
        monkeypatch.setattr(logins, name, replace(limit, first_s=40))


@pytest.fixture
def open_console(media: MediaJobs, instance: Any) -> Iterator[Open]:
    """Starts a console that asks for a login, behind the gate, as a process of its own would be; its address."""
    with contextlib.ExitStack() as stack:

        def open_one(**settings: object) -> str:
            changed = Settings.load(_env_file=None, home=media.settings.home, **settings)
            own = stack.enter_context(MediaJobs(changed))
            app = console_app(own, FromDagster(own, instance), dagster_ui, login=True)
            return stack.enter_context(serving(Gate(app, Names.of("127.0.0.1", ["media.example.com"]))))

        yield open_one


@pytest.fixture
def url(open_console: Open) -> str:
    """The address of one."""
    return open_console()


def own(url: str, *more: tuple[str, str]) -> Headers:
    """What a page of ours sends with a form."""
    return [("Origin", url), ("Sec-Fetch-Site", "same-origin"), FORM, *more]


def log_in(url: str, name: str, password: str = PASSWORD, *more: tuple[str, str], following: str = "/") -> Answer:
    """What is answered to the form."""
    body = urlencode({"name": name, "password": password, "next": following})
    return send(f"{url}/login", "POST", own(url, *more), body)


def cookie_of(answer: Answer) -> tuple[str, str]:
    """The header with the cookie that was set."""
    assert answer.status == 303, answer.text
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    return ("Cookie", f"{morsel.key}={morsel.value}")


def set_back(media: MediaJobs, table: sa.Table, by: timedelta, *columns: str) -> None:
    """Let time pass for every row."""
    key = next(iter(table.primary_key))
    with media.history._database.write() as connection:  # nothing else sets back a moment
        for row in connection.execute(sa.select(table)).mappings().all():
            values = {name: row[name] - by for name in columns}
            connection.execute(sa.update(table).where(key == row[key.name]).values(values))


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("olga", "wrong"),
        ("olga", ""),
        ("olga", PASSWORD.upper()),
        ("olga", f"{PASSWORD} "),
        ("olga", "x" * 60_000),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("' OR 1=1 --", PASSWORD),
        ("olga\x01", PASSWORD),
        ("ol\u0261a", PASSWORD),
        ("x" * 60_000, PASSWORD),
        ("<script>alert(1)</script>", PASSWORD),
    ],
)
def test_what_does_not_fit_is_refused_in_one_way(url: str, name: str, password: str) -> None:
    """Whether there is such a user or not; nothing of the password is on the page."""
    answer = log_in(url, name, password)
    assert answer.status == 401
    assert "Name and password do not fit." in answer.text
    assert "set-cookie" not in answer.headers
    assert "<script>alert" not in answer.text
    assert not password or PASSWORD not in answer.text


def test_names_are_taken_in_any_case(url: str) -> None:
    """With blanks around them too; passwords are taken as they are."""
    assert log_in(url, " Olga ").status == 303


def test_pauses_are_shared_by_all_consoles(open_console: Open, media: MediaJobs) -> None:
    """After a few wrong passwords a name has to wait, at whichever console; the right password does not help."""
    one, other = open_console(), open_console()
    for number in range(OF_NAME.free):
        assert log_in((one, other)[number % 2], "olga", "wrong").status == 401
    for url in (one, other):
        answer = log_in(url, "olga")
        assert answer.status == 429
        assert 20 < int(answer.headers["retry-after"]) <= 40
        assert "too many wrong passwords" in answer.text
    assert log_in(other, "vera").status == 303  # others do not have to wait
    set_back(media, login_attempts, timedelta(seconds=60), "free_at")
    assert log_in(other, "olga").status == 303
    assert log_in(one, "olga", "wrong").status == 401  # and counting begins anew


def test_an_address_has_to_wait_too(url: str) -> None:
    """However many names it tries."""
    for number in range(OF_ADDRESS.free):
        assert log_in(url, f"name{number}", "wrong").status == 401
    assert log_in(url, "olga").status == 429


def test_nobody_hides_behind_forwarded_addresses(url: str) -> None:
    """What anybody says of where he comes from counts for nothing."""
    for number in range(OF_ADDRESS.free):
        log_in(url, f"name{number}", "wrong", ("X-Forwarded-For", f"192.0.2.{number}"))
    assert log_in(url, "olga", PASSWORD, ("X-Forwarded-For", "192.0.2.99")).status == 429


def test_a_trusted_proxy_says_who_has_to_wait(open_console: Open) -> None:
    """By the address that it has written last; what stands before that was sent to it."""
    url = open_console(trusted_proxy="127.0.0.1")
    for number in range(OF_ADDRESS.free):
        log_in(url, f"name{number}", "wrong", ("X-Forwarded-For", f"10.9.8.{number}, 192.0.2.7"))
    assert log_in(url, "olga", PASSWORD, ("X-Forwarded-For", "192.0.2.7")).status == 429
    assert log_in(url, "olga", PASSWORD, ("X-Forwarded-For", "192.0.2.8")).status == 303


@pytest.mark.parametrize(
    ("following", "leads_to"),
    [
        ("/jobs?status=dead", "/jobs?status=dead"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("evil.example", "/"),
        ("", "/"),
        ("/jobs\r\nSet-Cookie: a=b", "/"),
    ],
)
def test_one_goes_on_to_pages_of_ours_only(url: str, following: str, leads_to: str) -> None:
    """After the form, and where one has logged in already."""
    answer = log_in(url, "olga", following=following)
    assert answer.headers["location"] == leads_to
    again = send(f"{url}/login?next={quote(following)}", "GET", [cookie_of(answer)])
    assert (again.status, again.headers["location"]) == (303, leads_to)


@pytest.mark.parametrize(
    "cookie",
    [
        "__Host-mediajobs=" + "a" * 43,
        "__Host-mediajobs=",
        '__Host-mediajobs=""; a=b',
        "__Host-mediajobs=" + "a" * 5000,
        "__Host-mediajobs=\xff\xfe",
        "mediajobs=REAL",
        ";;;=;",
        "__Host-mediajobs=HASH",
    ],
)
def test_a_forged_cookie_is_nobodys(url: str, media: MediaJobs, cookie: str) -> None:
    """One by another name, and what the database has of a session, included."""
    real = cookie_of(log_in(url, "olga"))[1].partition("=")[2]
    (session,) = media.logins.sessions()
    text = cookie.replace("REAL", real).replace("HASH", session.id)
    assert send(f"{url}/api/jobs", "GET", [("Cookie", text)]).status == 401


def test_a_session_ends_by_itself(url: str, media: MediaJobs) -> None:
    """When nobody used it, and after its whole time."""
    cookie = cookie_of(log_in(url, "olga"))
    assert send(f"{url}/api/jobs", "GET", [cookie]).status == 200
    set_back(media, sessions, timedelta(seconds=media.settings.session_idle_s + 60), "last_seen_at")
    assert send(f"{url}/api/jobs", "GET", [cookie]).status == 401
    cookie = cookie_of(log_in(url, "olga"))
    set_back(media, sessions, timedelta(seconds=media.settings.session_s + 60), "expires_at")
    assert send(f"{url}/api/jobs", "GET", [cookie]).status == 401
    page = send(f"{url}/login", "GET", [cookie, ("Accept", "text/html")])
    assert (page.status, "set-cookie" in page.headers) == (200, True)  # which forgets it


def test_a_login_replaces_the_one_before(url: str, media: MediaJobs) -> None:
    """In the same browser: a cookie that somebody has planted there becomes nobody's."""
    first = cookie_of(log_in(url, "vera"))
    second = cookie_of(log_in(url, "olga", PASSWORD, first))
    assert first != second
    assert send(f"{url}/api/jobs", "GET", [first]).status == 401
    assert [each.user_name for each in media.logins.sessions()] == ["olga"]


def test_a_new_password_logs_out_everywhere(url: str, media: MediaJobs) -> None:
    """Set by oneself, who has to know the one so far, or by the command line."""
    first, second = cookie_of(log_in(url, "vera")), cookie_of(log_in(url, "vera"))
    target = f"{url}/access/password"

    def change(password: str, new: str, again: str) -> Answer:
        return send(target, "POST", own(url, first), urlencode({"password": password, "new": new, "again": again}))

    assert change("wrong", "another long one", "another long one").status == 401
    assert change(PASSWORD, "short", "short").status == 422
    assert change(PASSWORD, "another long one", "another long two").status == 422
    assert send(f"{url}/api/jobs", "GET", [second]).status == 200
    done = change(PASSWORD, "another long one", "another long one")
    assert (done.status, done.headers["location"]) == (303, "/login")
    for cookie in (first, second):
        assert send(f"{url}/api/jobs", "GET", [cookie]).status == 401
    assert log_in(url, "vera").status == 401
    third = cookie_of(log_in(url, "vera", "another long one"))
    media.users.set_password("vera", PASSWORD)
    assert send(f"{url}/api/jobs", "GET", [third]).status == 401


def test_who_is_kept_out_is_out_at_once(url: str, media: MediaJobs) -> None:
    """And a role that was taken away is gone with the next request."""
    olga = cookie_of(log_in(url, "olga"))
    assert send(f"{url}/api/doctor", "POST", own(url, olga, ("Content-Type", "application/json"))).status != 403
    media.users.set_role("olga", Role.VIEWER)
    assert send(f"{url}/api/doctor", "POST", own(url, olga)).status == 403
    media.users.disable("olga")
    assert send(f"{url}/api/jobs", "GET", [olga]).status == 401
    assert log_in(url, "olga").status == 401
    media.users.enable("olga")
    assert log_in(url, "olga").status == 303


def test_a_login_ends_from_elsewhere(url: str, media: MediaJobs) -> None:
    """A viewer ends logins of her own; an operator those of all."""
    vera, other, olga = (cookie_of(log_in(url, name)) for name in ("vera", "vera", "olga"))
    by_user = {each.user_name: each.short_id for each in media.logins.sessions()}
    assert send(f"{url}/access/sessions/{by_user['olga']}/end", "POST", own(url, vera)).status == 404
    assert send(f"{url}/access/sessions/{by_user['vera']}/end", "POST", own(url, olga)).status == 303
    assert sorted(send(f"{url}/api/jobs", "GET", [each]).status for each in (vera, other)) == [200, 401]
    assert "User" not in send(f"{url}/access", "GET", [vera]).text.replace("User-Agent", "")


def test_an_operator_makes_and_revokes_a_token(url: str, media: MediaJobs) -> None:
    """Its secret is on one page, once; it is the operator's own."""
    olga = cookie_of(log_in(url, "olga"))
    page = send(f"{url}/access/tokens", "POST", own(url, olga), "name=ci&scope=operator&days=30")
    assert page.status == 200
    secret = page.text.partition('class="secret">')[2].partition("<")[0]
    (token,) = media.tokens.list()
    assert (token.user_name, token.scope) == ("olga", Scope.OPERATOR)
    header = ("Authorization", f"Bearer {secret}")
    assert send(f"{url}/api/jobs", "GET", [header]).status == 200
    assert secret not in send(f"{url}/access", "GET", [olga]).text
    assert send(f"{url}/access/tokens/{token.id}/revoke", "POST", own(url, olga)).status == 303
    assert send(f"{url}/api/jobs", "GET", [header]).status == 401
    for wrong in ("name=ci&days=0", "name=ci&days=-1", "name=ci&days=x", "name=&days=1", "name=%00&days=1"):
        assert send(f"{url}/access/tokens", "POST", own(url, olga), wrong).status == 422


PROXY: dict[str, Any] = {"trusted_proxy": "127.0.0.1", "user_header": "X-Forwarded-User"}


def test_a_trusted_proxy_says_who_comes(open_console: Open, media: MediaJobs) -> None:
    """With the role that the user has here, else the default one; one that is kept out here stays out."""
    url = open_console(**PROXY)
    as_olga, as_new = ("X-Forwarded-User", "OLGA"), ("X-Forwarded-User", "new@example.com")
    assert send(f"{url}/api/jobs").status == 401
    assert send(f"{url}/api/jobs", "GET", [as_olga]).status == 200
    assert "olga" in send(f"{url}/access", "GET", [as_olga]).text
    assert send(f"{url}/schedules/none/run", "POST", own(url, as_olga)).status == 422
    assert send(f"{url}/api/jobs", "GET", [as_new]).status == 200
    assert send(f"{url}/schedules/none/run", "POST", own(url, as_new)).status == 403
    assert send(f"{url}/schedules/none/run", "POST", [as_olga, FORM]).status == 403  # CSRF
    media.users.disable("olga")
    assert send(f"{url}/api/jobs", "GET", [as_olga]).status == 401
    for wrong in ("", "a b", "\xff", "x" * 200):
        assert send(f"{url}/api/jobs", "GET", [("X-Forwarded-User", wrong)]).status == 401
    twice = [("X-Forwarded-User", "olga"), ("X-Forwarded-User", "vera")]
    assert send(f"{url}/api/jobs", "GET", twice).status == 401


def test_a_trusted_proxy_says_in_which_role(open_console: Open) -> None:
    """As one of its groups."""
    url = open_console(**PROXY, role_header="X-Forwarded-Groups")
    for groups, status in (("staff, operator", 422), ("viewer", 403), ("operators", 403), ("", 403)):
        headers = own(url, ("X-Forwarded-User", "somebody"), ("X-Forwarded-Groups", groups))
        assert send(f"{url}/schedules/none/run", "POST", headers).status == status, groups


def test_a_foreign_peer_says_nothing(open_console: Open) -> None:
    """The header of anybody but the proxy is taken away; what is said of the peer's address changes nothing."""
    url = open_console(**{**PROXY, "trusted_proxy": "10.0.0.7"}, role_header="X-Forwarded-Groups")
    said = [("X-Forwarded-User", "olga"), ("X-Forwarded-Groups", "operator")]
    for more in ([], [("X-Forwarded-For", "10.0.0.7")], [("Forwarded", "for=10.0.0.7")], [("X-Real-IP", "10.0.0.7")]):
        assert send(f"{url}/api/jobs", "GET", [*said, *more]).status == 401
    vera = cookie_of(log_in(url, "vera"))
    assert send(f"{url}/schedules/none/run", "POST", own(url, vera, *said)).status == 403


def test_a_header_of_everybody_is_no_setting() -> None:
    """Which would let in whoever sends it."""
    settings = Settings.load(_env_file=None, user_header="X-Forwarded-User")
    with pytest.raises(SettingsError, match="MEDIAJOBS_TRUSTED_PROXY"):
        console_app(MediaJobs(settings), None, dagster_ui, login=True)  # pyright: ignore[reportArgumentType]


def test_without_encryption_the_cookie_has_another_name(open_console: Open) -> None:
    """If an operator has said so; else the page says why it cannot work, instead of asking again and again."""
    host = ("Host", "media.example.com")
    headers = [("Origin", "http://media.example.com"), FORM, host]
    body = urlencode({"name": "olga", "password": PASSWORD})
    refused = send(f"{open_console()}/login", "POST", headers, body)
    assert refused.status == 403
    assert "MEDIAJOBS_WEB_INSECURE_COOKIES" in refused.text
    url = open_console(web_insecure_cookies=True)
    allowed = send(f"{url}/login", "POST", headers, body)
    assert allowed.headers["set-cookie"].startswith("mediajobs=")
    assert "Secure" not in allowed.headers["set-cookie"]
    assert send(f"{url}/api/jobs", "GET", [host, cookie_of(allowed)]).status == 200
    encrypted = [("Origin", "https://media.example.com"), FORM, host]
    assert send(f"{open_console()}/login", "POST", encrypted, body).status == 303


def test_a_database_that_is_gone_is_said_in_words(tmp_path: Path, instance: Any) -> None:
    """At the login, and wherever somebody comes with a cookie or a token; and it works again by itself."""
    with running_postgres() as server:
        settings = Settings.load(_env_file=None, home=tmp_path, database_url=server.get_uri(), database_timeout_s=5)
        with MediaJobs(settings) as media:
            media.users.add("olga", Role.OPERATOR, PASSWORD)
            token = ("Authorization", f"Bearer {media.tokens.create('ci').secret}")
            app = console_app(media, FromDagster(media, instance), dagster_ui, login=True)
            with serving(app) as url:
                olga, html = cookie_of(log_in(url, "olga")), ("Accept", "text/html")
                server.stop()
                page = log_in(url, "olga", PASSWORD, html)
                assert page.status == 503
                assert "DATABASE_UNAVAILABLE" in page.text
                assert "Not available right now" in page.text
                assert send(f"{url}/jobs", "GET", [olga, html]).status == 503
                for header in (olga, token):
                    assert send(f"{url}/api/jobs", "GET", [header]).json["code"] == "DATABASE_UNAVAILABLE"
                assert refused_websocket(f"{url}/dagster/graphql", [olga]).status == 403
                assert send(f"{url}/login", "GET", [html]).status == 200
                start_postgres(server)
                assert send(f"{url}/api/jobs", "GET", [olga]).status == 200


def test_a_stream_ends_with_the_login(url: str, media: MediaJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is logged out is told nothing more."""
    monkeypatch.setattr(login_gate, "_LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr(live, "_KEEP_ALIVE_S", 0.2)
    olga = cookie_of(log_in(url, "olga"))
    request = urllib.request.Request(f"{url}/api/events", headers=dict([olga]))
    with urllib.request.urlopen(request, timeout=30) as stream:
        assert stream.status == 200
        assert stream.readline()
        media.users.disable("olga")
        while stream.readline():  # until its end; the timeout fails it
            pass


def test_what_a_proxy_was_shown_is_no_token(open_console: Open) -> None:
    """Such as the password or the token of its own login; ours counts before its word."""
    url = open_console(**PROXY)
    said = ("X-Forwarded-User", "olga")
    for other in ("Basic b2xnYTo=", "Bearer eyJhbGciOi"):
        assert send(f"{url}/api/jobs", "GET", [said, ("Authorization", other)]).status == 200
        assert send(f"{url}/schedules/none/run", "POST", [said, FORM, ("Authorization", other)]).status == 403  # CSRF
    assert send(f"{url}/api/jobs", "GET", [said, ("Authorization", "Bearer mjt_wrong")]).status == 401


def test_whether_it_lives_is_said_whoever_asks_and_waits(media: MediaJobs, open_console: Open) -> None:
    """Nobody waits for a writer: neither who is seen again after a while, nor a look whether the process lives."""
    url = open_console()
    cookie = cookie_of(log_in(url, "vera"))
    aged = sa.update(sessions).values(last_seen_at=media.history.now() - timedelta(minutes=5))
    database = media.history.sessions._database
    with database.write() as connection:
        connection.execute(aged)
    begun = time.monotonic()
    with database.write():  # holds SQLite's lock for writers
        assert [send(f"{url}/api/jobs", headers=[cookie]).status for _ in range(3)] == [200, 200, 200]
        assert send(f"{url}/healthz").status == 200
    assert time.monotonic() - begun < media.settings.database_timeout_s


def test_what_somebody_of_a_proxy_made_ends_with_that_one(media: MediaJobs) -> None:
    """Whether the user was known here when the token was made, or is added only to be kept out."""
    with acting_as("pia"):
        secret = media.tokens.create("ci", Scope.OPERATOR).secret
    assert media.logins.by_token(secret)
    media.users.add("pia", Role.VIEWER, None)
    visitor = media.logins.by_token(secret)
    assert visitor
    assert visitor.scope is Scope.VIEWER
    media.users.disable("pia")
    assert media.logins.by_token(secret) is None
    media.users.remove("pia")
    assert media.logins.by_token(secret) is None


def test_a_look_whether_a_stream_may_go_on_is_no_use(media: MediaJobs) -> None:
    """So a page that is left open does not keep a login for ever."""
    secret = media.logins.log_in("vera", PASSWORD)
    with media.history.sessions._database.write() as connection:
        connection.execute(sa.update(sessions).values(last_seen_at=media.history.now() - timedelta(minutes=5)))
    (before,) = media.logins.sessions()
    assert media.logins.by_cookie(secret, never)
    assert media.logins.sessions() == [before]
    assert media.logins.by_cookie(secret)
    assert media.logins.sessions() != [before]
