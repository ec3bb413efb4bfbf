"""Rules of access that need no server: proxies, passwords, and when a login is needed."""

from __future__ import annotations

import pytest

from mediajobs_dagster.access.needed import check_access, needs_login
from mediajobs_dagster.access.passwords import hash_password, is_password, is_weak
from mediajobs_dagster.access.proxies import Proxies
from mediajobs_dagster.access.users import Users
from mediajobs_dagster.errors import RequestError, SettingsError
from mediajobs_dagster.settings import Settings


def settings(**given: object) -> Settings:
    """Settings of which only these are not the defaults."""
    return Settings.load(_env_file=None, **given)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.9", [], "192.0.2.9"),
        ("192.0.2.9", ["10.0.0.1"], "192.0.2.9"),  # no proxy: what it says counts for nothing
        ("10.0.0.7", [], "10.0.0.7"),
        ("10.0.0.7", ["192.0.2.9"], "192.0.2.9"),
        ("::ffff:10.0.0.7", ["192.0.2.9"], "192.0.2.9"),
        ("10.0.0.7", ["1.1.1.1, 192.0.2.9, 10.0.0.8"], "192.0.2.9"),
        ("10.0.0.7", ["1.1.1.1", "192.0.2.9"], "192.0.2.9"),
        ("10.0.0.7", ["10.0.0.8"], "10.0.0.7"),
        ("10.0.0.7", ["<script>"], "10.0.0.7"),
        ("10.0.0.7", ["192.0.2.9:5678"], "192.0.2.9"),
        ("10.0.0.7", ["[2001:db8:1::9]:443, 10.0.0.8:80"], "2001:db8:1::9"),
        ("10.0.0.7", ["", " , "], "10.0.0.7"),
        ("2001:db8::7", ["2001:db8:1::9"], "2001:db8:1::9"),
        ("nonsense", ["192.0.2.9"], "nonsense"),
        (None, ["192.0.2.9"], ""),
    ],
)
def test_where_a_request_comes_from(peer: str | None, forwarded: list[str], client: str) -> None:
    """As the nearest proxies of ours say, and nobody else."""
    proxies = Proxies.of(settings(trusted_proxy="10.0.0.0/28, 2001:db8::7"))
    assert proxies.client(peer, forwarded) == client


@pytest.mark.parametrize("header", ["X-Forwarded User", "X:User", "Nutzer-Ü", "X-User\r\n", "x" * 200])
def test_what_is_no_header_is_no_setting(header: str) -> None:
    """Said before a console starts."""
    with pytest.raises(SettingsError, match="no name of a header"):
        Proxies.of(settings(trusted_proxy="10.0.0.7", user_header=header))


@pytest.mark.parametrize(
    ("given", "loopback", "unprotected", "needed"),
    [
        ({}, True, False, False),
        ({}, False, False, True),
        ({}, False, True, False),
        ({"login": True}, True, False, True),
        ({"login": True}, False, True, False),
        ({"login": False}, False, False, False),
        ({"user_header": "X-Forwarded-User"}, True, False, True),
        ({"user_header": "X-Forwarded-User", "login": False}, True, False, False),
    ],
)
def test_when_a_login_is_needed(given: dict[str, object], loopback: bool, unprotected: bool, needed: bool) -> None:
    """By the address, unless something else is said."""
    assert needs_login(settings(**given), loopback=loopback, unprotected=unprotected) is needed


@pytest.mark.parametrize(("given", "unprotected"), [({"login": False}, False), ({}, True)])
def test_who_comes_is_not_asked_and_ignored(given: dict[str, object], unprotected: bool) -> None:
    """A proxy that says who comes, and a console that lets everybody do everything, do not go together."""

    def nobody() -> Users:
        raise AssertionError

    proxied = settings(trusted_proxy="10.0.0.7", user_header="X-Forwarded-User", **given)
    with pytest.raises(SettingsError, match="MEDIAJOBS_USER_HEADER"):
        check_access(proxied, nobody, loopback=False, unprotected=unprotected)


def test_a_password_is_known_by_its_hash_alone() -> None:
    """Each hash has a salt of its own, and today's effort; letters may be typed in two ways."""
    first, second = hash_password("correct horse battery"), hash_password("correct horse battery")
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert is_password("correct horse battery", first)
    assert not is_password("correct horse batterY", first)
    assert not is_password("correct horse battery", None)
    assert not is_password("correct horse battery", "no hash")
    assert is_password("m\u00fcde Pferde traben", hash_password("mu\u0308de Pferde traben"))
    assert not is_weak(first)
    assert is_weak(first.replace("t=2", "t=1"))
    for weak in ("short", "a" * 40, "x" * 513, "ab" * 20):
        with pytest.raises(RequestError):
            hash_password(weak)
