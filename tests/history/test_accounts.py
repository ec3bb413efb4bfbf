"""Users, sessions, tokens and attempts to log in, on both engines."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mediajobs_dagster.history import Action, History
from mediajobs_dagster.history.login_attempts import WINDOW, Limit
from mediajobs_dagster.history.schema import login_attempts, sessions, tokens
from mediajobs_dagster.history.tokens import Scope
from mediajobs_dagster.history.users import Role

HOUR = timedelta(hours=1)
LIMIT = Limit(free=3, longest_s=600, first_s=100)
"""Whose first pause outlasts a test."""


def done(name: str = "test") -> Action:
    """An action to be recorded with a change."""
    return Action(action=name, target="x", count=1, who="tester")


def set_back(history: History, table: sa.Table, *columns: str, by: timedelta) -> None:
    """Let time pass for every row."""
    keys = list(table.primary_key)
    with history._database.write() as connection:  # nothing else sets back a moment
        for row in connection.execute(sa.select(table)).mappings().all():
            values: dict[str, Any] = {name: row[name] - by for name in columns if row[name] is not None}
            where = sa.and_(*(key == row[key.name] for key in keys))
            connection.execute(sa.update(table).where(where).values(values))


@pytest.fixture
def anna(history: History) -> History:
    """A history with one user."""
    assert history.users.add("anna", Role.OPERATOR, "hash", done("user add"))
    return history


def begin(history: History, id: str, lasts: timedelta = HOUR) -> None:
    """A session of Anna's."""
    history.sessions.begin(id, "anna", lasts, "192.0.2.1", "Browser", done("login"))


def test_a_user_is_added_once(anna: History) -> None:
    """And what was done is among the actions, once as well."""
    assert not anna.users.add("anna", Role.VIEWER, "other", done("user add"))
    (user,) = anna.users.list()
    assert (user.name, user.role, user.password_hash, user.is_enabled) == ("anna", Role.OPERATOR, "hash", True)
    assert "hash" not in user.to_json().values()
    assert [each.action for each in anna.actions.list()] == ["user add"]
    assert anna.users.get("berta") is None
    assert not anna.users.set_role("berta", Role.VIEWER, done())
    assert not anna.users.remove("berta", done())
    assert len(anna.actions.list()) == 1


def test_a_session_is_found_until_it_ends(anna: History) -> None:
    """By the hash of its cookie; afterwards it is gone, however often it is ended."""
    begin(anna, "s1")
    found = anna.sessions.user_of("s1", HOUR)
    assert found is not None
    assert found.name == "anna"
    assert anna.sessions.user_of("s2", HOUR) is None
    assert [each.id for each in anna.sessions.list(HOUR, "anna")] == ["s1"]
    assert anna.sessions.list(HOUR, "berta") == []
    assert anna.sessions.end("s1", done("logout"))
    assert not anna.sessions.end("s1", done("logout"))
    assert anna.sessions.user_of("s1", HOUR) is None


def test_a_session_ends_by_itself(anna: History) -> None:
    """When nobody used it for the idle time, and after its whole time however much it is used."""
    begin(anna, "idle")
    set_back(anna, sessions, "last_seen_at", by=HOUR + timedelta(minutes=1))
    assert anna.sessions.user_of("idle", HOUR) is None
    assert anna.sessions.list(HOUR) == []
    begin(anna, "old", timedelta(minutes=30))
    set_back(anna, sessions, "expires_at", by=HOUR)
    assert anna.sessions.user_of("old", timedelta(days=1)) is None
    begin(anna, "new")
    with anna._database.read() as connection:
        assert connection.scalars(sa.select(sessions.c.id)).all() == ["new"]  # what had ended was cleared away


def test_use_prolongs_a_session(anna: History) -> None:
    """It is written down once a minute at most."""
    begin(anna, "s1")
    set_back(anna, sessions, "last_seen_at", by=timedelta(minutes=59))
    assert anna.sessions.user_of("s1", HOUR)
    (session,) = anna.sessions.list(HOUR)
    assert anna.now() - session.last_seen_at < timedelta(minutes=1)


@pytest.mark.parametrize("change", ["password", "disable", "remove"])
def test_sessions_end_with_what_let_them_begin(anna: History, change: str) -> None:
    """A new password, a user that is kept out or gone: logged out everywhere, and tokens of the user end too."""
    begin(anna, "s1")
    begin(anna, "s2")
    values = {"name": "t", "scope": Scope.OPERATOR, "user_name": "anna", "created_by": "anna"}
    anna.tokens.add("t1", "hash-1", None, done(), **values)
    assert anna.tokens.use("hash-1")
    if change == "password":
        assert anna.users.set_password("anna", "new hash", done())
    elif change == "disable":
        assert anna.users.set_disabled("anna", done(), disabled=True)
    else:
        assert anna.users.remove("anna", done())
    assert anna.sessions.user_of("s1", HOUR) is None
    assert anna.sessions.user_of("s2", HOUR) is None
    assert (anna.tokens.use("hash-1") is None) == (change != "password")


def test_a_changed_role_holds_at_once(anna: History) -> None:
    """For sessions that have begun, and for tokens."""
    begin(anna, "s1")
    values = {"name": "t", "scope": Scope.OPERATOR, "user_name": "anna", "created_by": "anna"}
    anna.tokens.add("t1", "hash-1", None, done(), **values)
    assert anna.users.set_role("anna", Role.VIEWER, done())
    found, used = anna.sessions.user_of("s1", HOUR), anna.tokens.use("hash-1")
    assert found is not None
    assert used is not None
    assert (found.role, used[1]) == (Role.VIEWER, Role.VIEWER)


def test_a_token_is_good_until_it_is_revoked_or_expires(history: History) -> None:
    """And when it was used last is shown."""
    values = {"name": "ci", "scope": Scope.VIEWER, "user_name": None, "created_by": "root@host"}
    made = history.tokens.add("t1", "hash-1", HOUR, done("token create"), **values)
    assert made.last_used_at is None
    assert history.tokens.use("hash-2") is None
    used = history.tokens.use("hash-1")
    assert used is not None
    assert used == (made, None)
    (listed,) = history.tokens.list()
    assert listed.last_used_at is not None
    set_back(history, tokens, "expires_at", by=2 * HOUR)
    assert history.tokens.use("hash-1") is None
    history.tokens.add("t2", "hash-3", None, done("token create"), **values)
    assert history.tokens.use("hash-3")
    assert history.tokens.revoke("t2", done("token revoke"))
    assert not history.tokens.revoke("t2", done("token revoke"))
    assert history.tokens.use("hash-3") is None
    assert [each.action for each in history.actions.list()] == ["token revoke", "token create", "token create"]


def test_wrong_passwords_have_pauses_that_double(history: History) -> None:
    """After those that are free; what comes within a pause does not count, and a right one forgets them."""
    key = ("name:anna", LIMIT)
    for _ in range(3):
        assert history.login_attempts.begin([key]) is None
    for pause in (100, 200, 400):
        wait = history.login_attempts.begin([key])
        assert wait is not None
        assert pause - 50 < wait <= pause
        set_back(history, login_attempts, "free_at", by=timedelta(seconds=pause))
        assert history.login_attempts.begin([key]) is None
    assert history.login_attempts.begin([("name:berta", LIMIT)]) is None
    history.login_attempts.forget(["name:anna"])
    assert history.login_attempts.begin([key]) is None
    assert LIMIT.pause_s(10**9) == 600


def test_each_key_counts(history: History) -> None:
    """A name that is free does not help an address that is not; and attempts of long ago do not count."""
    address = ("address:192.0.2.1", LIMIT)
    for number in range(3):
        assert history.login_attempts.begin([address, (f"name:{number}", LIMIT)]) is None
    assert history.login_attempts.begin([("name:new", LIMIT), address])
    assert history.login_attempts.begin([("name:new", LIMIT)]) is None
    set_back(history, login_attempts, "last_at", "free_at", by=WINDOW + timedelta(minutes=1))
    for number in range(3):
        assert history.login_attempts.begin([address, (f"name:{number}", LIMIT)]) is None
    set_back(history, login_attempts, "last_at", "free_at", by=3 * WINDOW)
    history.login_attempts.begin([("name:last", LIMIT)])
    with history._database.read() as connection:
        assert connection.scalars(sa.select(login_attempts.c.key)).all() == ["name:last"]


def test_a_right_password_gives_its_attempt_back(history: History) -> None:
    """To an address, whose wrong ones still count."""
    address = ("address:192.0.2.1", LIMIT)
    for _ in range(10):
        assert history.login_attempts.begin([address]) is None
        history.login_attempts.give_back(address[0])
    for _ in range(3):
        assert history.login_attempts.begin([address]) is None
    assert history.login_attempts.begin([address])


def test_attempts_at_once_are_counted_one_after_the_other(history: History) -> None:
    """Thirty at the same moment get through no more often than they may."""
    with ThreadPoolExecutor(8) as pool:
        let = list(pool.map(lambda _: history.login_attempts.begin([("name:anna", LIMIT)]), range(30)))
    assert let.count(None) == 3


def try_often(url: str, times: int) -> int:
    """How many attempts are let through, in a process of its own."""
    with History.open(url, timeout_s=60) as history:
        return sum(history.login_attempts.begin([("name:anna", LIMIT)]) is None for _ in range(times))


def test_processes_share_the_pauses(history: History, history_url: str) -> None:
    """Three consoles that try at once get through no more often than one."""
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert sum(pool.map(try_often, [history_url] * 3, [10] * 3)) == LIMIT.free
    assert history.login_attempts.begin([("name:anna", LIMIT)])
