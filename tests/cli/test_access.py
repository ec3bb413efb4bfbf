"""`mediajobs user` and `mediajobs token`, and where a console does not start without them."""

from __future__ import annotations

import io
import sys

import pytest

from mediajobs_dagster.history.users import Role
from mediajobs_dagster.system import MediaJobs
from tests.cli.conftest import Call

PASSWORD = "correct horse battery"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password on standard input."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\nanother horse battery\n"))


@pytest.mark.usefixtures("typed")
def test_a_user_is_added_with_the_password_of_standard_input(mediajobs: Call) -> None:
    """It is printed nowhere, and what was done is on record with who did it."""
    answer = mediajobs("user", "add", "Anna", "--role", "operator", "--json")
    assert (answer.code, answer.json["name"], answer.json["role"]) == (0, "anna", "operator")
    assert PASSWORD not in answer.out + answer.err
    with MediaJobs.open() as media:
        assert media.logins.log_in("anna", PASSWORD)
        user = media.history.users.get("anna")
        assert user is not None
        assert (user.password_hash or "").startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    (done,) = (each for each in mediajobs("actions", "list", "--json").json if each["action"] == "user add")
    assert (done["target"], "@" in done["who"]) == ("anna", True)
    assert "anna" in mediajobs("user", "list").out


def test_no_password_is_read_for_a_name_that_cannot_be(mediajobs: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody types one in vain."""
    with MediaJobs.open() as media:
        media.users.add("anna", Role.VIEWER, None)
    for name, said in (("\u00c4", "no name of a user"), ("Anna", "There is a user anna already")):
        given = io.StringIO(f"{PASSWORD}\n")
        monkeypatch.setattr(sys, "stdin", given)
        answer = mediajobs("user", "add", name)
        assert answer.code == 2
        assert said in answer.err
        assert given.tell() == 0


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("anna", "short", "12 characters at least"),
        ("anna", "aaaaaaaaaaaaaaaa", "too easy to guess"),
        ("anna", "x" * 600, "512 characters at most"),
        ("anna", "", "no password on standard input"),
        ("an na", PASSWORD, "no name of a user"),
        ("-x", PASSWORD, "No such option"),
        ("\u00e4nna", PASSWORD, "no name of a user"),
    ],
)
def test_what_is_no_user_is_refused(
    mediajobs: Call, monkeypatch: pytest.MonkeyPatch, name: str, password: str, said: str
) -> None:
    """With what to do instead."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n" if password else ""))
    answer = mediajobs("user", "add", name)
    assert answer.code == 2
    assert said in answer.err


@pytest.mark.usefixtures("typed")
def test_a_user_is_changed_and_removed(mediajobs: Call) -> None:
    """Each change says how the user stands then; one that is not there is told so."""
    mediajobs("user", "add", "anna")
    assert mediajobs("user", "role", "anna", "operator", "--json").json["role"] == "operator"
    assert mediajobs("user", "disable", "anna", "--json").json["disabledAt"]
    assert mediajobs("user", "enable", "anna", "--json").json["disabledAt"] is None
    assert mediajobs("user", "add", "anna").err.startswith("REQUEST_INVALID: There is a user anna already.")
    assert mediajobs("user", "remove", "anna").out == "anna is removed.\n"
    for verb in ("role", "disable", "enable", "remove", "password"):
        answer = mediajobs("user", verb, "anna", *(["viewer"] if verb == "role" else []))
        assert (answer.code, answer.err.partition(":")[0]) == (2, "NOT_FOUND")


def test_a_token_is_shown_once(mediajobs: Call) -> None:
    """Alone on standard output, so that it can be piped; afterwards there is only when it was used."""
    answer = mediajobs("token", "create", "ci", "--scope", "operator", "--days", "30")
    secret = answer.out.strip()
    assert secret.startswith("mjt_")
    assert "shown once" in answer.err
    listed = mediajobs("token", "list", "--json")
    assert secret not in listed.out
    (token,) = listed.json
    assert (token["name"], token["scope"], token["lastUsedAt"]) == ("ci", "operator", None)
    with MediaJobs.open() as media:
        assert media.logins.by_token(secret)
    assert mediajobs("token", "list", "--json").json[0]["lastUsedAt"]
    assert mediajobs("token", "revoke", token["id"][:13], "--json").json["revokedAt"]
    with MediaJobs.open() as media:
        assert media.logins.by_token(secret) is None
    assert mediajobs("token", "revoke", "ci").err.startswith("ILLEGAL_TRANSITION: ")
    assert mediajobs("token", "create", "other", "--json").json["secret"].startswith("mjt_")
    assert mediajobs("token", "create", "x", "--user", "nobody").err.startswith("NOT_FOUND: ")


@pytest.mark.parametrize("command", ["up", "web"])
def test_no_console_for_others_without_users(mediajobs: Call, command: str) -> None:
    """It says what to do; on loopback too, where a login is asked for; a user who cannot log in is none."""

    def check() -> None:
        for arguments, settings in ((("--host", "0.0.0.0"), {}), ((), {"login": "true"})):
            answer = mediajobs(command, *arguments, **settings)
            assert (answer.code, answer.err.partition(":")[0]) == (2, "USERS_MISSING")
            assert "mediajobs user add" in answer.err

    check()
    with MediaJobs.open() as media:
        media.users.add("anna", Role.VIEWER, PASSWORD)
        media.users.disable("anna")
        media.users.add("berta", Role.VIEWER, None)
    check()


@pytest.mark.parametrize("command", ["up", "web"])
def test_a_header_of_everybody_lets_no_console_start(mediajobs: Call, command: str) -> None:
    """A proxy has to be named."""
    answer = mediajobs(command, "--host", "0.0.0.0", user_header="X-Forwarded-User")
    assert answer.err.startswith("SETTINGS_INVALID: MEDIAJOBS_USER_HEADER is set, but not MEDIAJOBS_TRUSTED_PROXY")
