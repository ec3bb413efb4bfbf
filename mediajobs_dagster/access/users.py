"""Users: who they are, what they may do, and whether they may log in. Every change is recorded as an action."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mediajobs_dagster.access.passwords import hash_password
from mediajobs_dagster.errors import NotFoundError, NoUsersError, RequestError
from mediajobs_dagster.history import Action, History
from mediajobs_dagster.history.users import Role, User

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}", re.ASCII)


def name_of(text: str) -> str:
    """A name as it is kept: in small letters. Raises RequestError for one that can be none."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise RequestError(
            f"{text[:100]!r} is no name of a user: up to 100 letters of a to z, digits and . _ @ + - such as "
            "anna or anna@example.com."
        )
    return name


@dataclass(frozen=True)
class Users:
    """The users of one installation."""

    history: History

    def add(self, name: str, role: Role, password: str | None) -> User:
        """Add a user. Without a password, the user comes by a trusted proxy only.

        Raises RequestError for a name that is taken or can be none, and for a weak password.
        """
        name = name_of(name)
        hashed = None if password is None else hash_password(password)
        if not self.history.users.add(name, role, hashed, _action("add", name, role=role.value)):
            raise _taken(name)
        return self.get(name)

    def check_new(self, name: str) -> None:
        """Raise RequestError for a name that is taken or can be none."""
        if self.history.users.get(name_of(name)) is not None:
            raise _taken(name_of(name))

    def list(self) -> list[User]:
        """All users, by name."""
        return self.history.users.list()

    def get(self, name: str) -> User:
        """The user of that name. Raises NotFoundError."""
        found = self.history.users.get(name_of(name))
        if found is None:
            raise _unknown(name)
        return found

    def set_role(self, name: str, role: Role) -> User:
        """Give a user another role, from the next request on. Raises NotFoundError."""
        return self._changed(name, self.history.users.set_role(name_of(name), role, _action("role", name, role=role)))

    def set_password(self, name: str, password: str) -> User:
        """Give a user another password; all sessions of the user end. Raises NotFoundError and RequestError."""
        self.get(name)  # before a hash is made for nobody
        hashed = hash_password(password)
        return self._changed(name, self.history.users.set_password(name_of(name), hashed, _action("password", name)))

    def disable(self, name: str) -> User:
        """Keep a user out: sessions end, and tokens of the user are not good for anything. Raises NotFoundError."""
        done = _action("disable", name)
        return self._changed(name, self.history.users.set_disabled(name_of(name), done, disabled=True))

    def enable(self, name: str) -> User:
        """Let a user in again. Raises NotFoundError."""
        done = _action("enable", name)
        return self._changed(name, self.history.users.set_disabled(name_of(name), done, disabled=False))

    def remove(self, name: str) -> None:
        """Remove a user: sessions end, and tokens of the user are revoked. Raises NotFoundError."""
        if not self.history.users.remove(name_of(name), _action("remove", name)):
            raise _unknown(name)

    def check_somebody(self) -> None:
        """Raise NoUsersError unless somebody could log in."""
        if not any(user.is_enabled and user.password_hash for user in self.list()):
            raise NoUsersError(
                "The console asks for a login where other machines can reach it, or where MEDIAJOBS_LOGIN says so, and "
                "nobody could log in. Add a user with `mediajobs user add NAME`, or set MEDIAJOBS_TRUSTED_PROXY and "
                "MEDIAJOBS_USER_HEADER for a proxy with a login. With MEDIAJOBS_LOGIN=false, whoever reaches the "
                "address can do everything."
            )

    def _changed(self, name: str, is_known: bool) -> User:  # what the table has answered
        if not is_known:
            raise _unknown(name)
        return self.get(name)


def _taken(name: str) -> RequestError:
    return RequestError(f"There is a user {name} already. `mediajobs user password {name}` sets its password.")


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"There is no user {name[:100]!r}. `mediajobs user list` lists them.")


def _action(verb: str, name: str, **details: str) -> Action:
    return Action(action=f"user {verb}", target=name_of(name), count=1, details=dict(details) or None)
