"""Logins: from a name and a password to a session, and from what a request shows to its visitor."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from mediajobs_dagster.access.passwords import LONGEST, hash_password, is_password, is_weak
from mediajobs_dagster.access.secrets import TOKEN_PREFIX, hash_of, new_secret
from mediajobs_dagster.access.users import name_of
from mediajobs_dagster.access.visitor import Means, Visitor
from mediajobs_dagster.errors import LoginPausedError, LoginRefusedError, NotFoundError, RequestError
from mediajobs_dagster.history import Action, History
from mediajobs_dagster.history.later import Later, at_once
from mediajobs_dagster.history.login_attempts import Limit
from mediajobs_dagster.history.sessions import Session
from mediajobs_dagster.history.tokens import Scope
from mediajobs_dagster.history.users import Role, User
from mediajobs_dagster.settings import Settings

OF_NAME = Limit(free=5, longest_s=60)
"""Wrong passwords for one name. The pause is short, for others can cause it."""
OF_ADDRESS = Limit(free=20, longest_s=300)
"""Wrong passwords from one address, from which many people may come."""
_LONGEST_SECRET = 200


@dataclass(frozen=True)
class Logins:
    """Who is let in. Processes on one database share sessions and pauses."""

    history: History
    settings: Settings

    def log_in(self, name: str, password: str, *, address: str = "", client: str = "") -> str:
        """Begin a session; the secret for its cookie, which is new each time.

        `address` is where the client comes from, and `client` what it calls itself. Raises LoginRefusedError, which
        does not say whether there is such a user, and LoginPausedError.
        """
        user = self._checked(name, password, address)
        secret = new_secret()
        action = Action(action="login", target=user.name, count=1, who=user.name, details={"address": address})
        lasts = timedelta(seconds=self.settings.session_s)
        self.history.sessions.begin(hash_of(secret), user.name, lasts, address, client[:200], action)
        return secret

    def change_password(self, name: str, password: str, new: str, *, address: str = "") -> None:
        """Give oneself another password; all sessions end. Raises as `log_in`, and RequestError for a weak one."""
        hashed = hash_password(new)
        user = self._checked(name, password, address)
        action = Action(action="user password", target=user.name, count=1, who=user.name)
        self.history.users.set_password(user.name, hashed, action)

    def log_out(self, visitor: Visitor) -> None:
        """End the session of a visitor."""
        if visitor.session_id is not None:
            action = Action(action="logout", target=visitor.name, count=1, who=visitor.who)
            self.history.sessions.end(visitor.session_id, action)

    def end(self, short_id: str, user: str | None = None) -> None:
        """End the session of that short id, if it is one of `user`; None: anybody's. Raises NotFoundError."""
        found = next((each for each in self.sessions(user) if each.short_id == short_id), None)
        if found is None:
            raise NotFoundError("That login has ended already.")
        self.history.sessions.end(found.id, Action(action="session end", target=found.user_name, count=1))

    def sessions(self, user: str | None = None) -> list[Session]:
        """Who is logged in, the one that was seen last first; the sessions of one user, if one is named."""
        return self.history.sessions.list(self._idle, None if user is None else name_of(user))

    def by_cookie(self, secret: str, later: Later = at_once) -> Visitor | None:
        """The visitor of a session; None: it has ended, or there never was one. That it was seen is written `later`."""
        if not _is_secret(secret):
            return None
        user = self.history.sessions.user_of(hash_of(secret), self._idle, later)
        return user and Visitor(name=user.name, scope=Scope(user.role), means=Means.SESSION, session_id=hash_of(secret))

    def by_token(self, secret: str, later: Later = at_once) -> Visitor | None:
        """The visitor of a token; None: it is good for nothing, or there never was one. Its use is written `later`."""
        if not _is_secret(secret) or not secret.startswith(TOKEN_PREFIX):
            return None
        used = self.history.tokens.use(hash_of(secret), later)
        if used is None:
            return None
        token, role = used
        # A token of a viewer does not become one of an operator by what stands in it.
        scope = Scope.VIEWER if role is Role.VIEWER and token.scope is Scope.OPERATOR else token.scope
        name = token.user_name or token.created_by
        return Visitor(name=name, scope=scope, means=Means.TOKEN, token_name=token.name)

    def by_proxy(self, name: str, roles: str | None) -> Visitor | None:
        """The visitor that a trusted proxy names. `roles` is what it says of roles; None: it was not asked.

        None: the user is kept out, or is named in a way that no user is. A user who is known here needs no word of
        the proxy's.
        """
        try:
            name = name_of(name)
        except RequestError:
            return None
        known = self.history.users.get(name)
        if known is not None and not known.is_enabled:
            return None
        role = _role_in(roles) or (known and known.role) or Role(self.settings.proxy_role)
        return Visitor(name=name, scope=Scope(role), means=Means.PROXY)

    @property
    def _idle(self) -> timedelta:
        return timedelta(seconds=self.settings.session_idle_s)

    def _checked(self, name: str, password: str, address: str) -> User:
        """The user of that name, if the password is right; what was tried counts before it is looked at."""
        try:
            name = name_of(name)
        except RequestError:
            name = ""  # is nobody's, and is refused like any other
        of_name, of_address = f"name:{name}", f"address:{address}"
        attempts = self.history.login_attempts
        wait_s = attempts.begin([(of_name, OF_NAME), (of_address, OF_ADDRESS)])
        if wait_s is not None:
            raise LoginPausedError.for_s(wait_s)
        user = self.history.users.get(name)
        may = user is not None and user.is_enabled and len(password) <= LONGEST
        if not is_password(password, user.password_hash if user and may else None) or user is None:
            raise LoginRefusedError
        attempts.forget([of_name])
        attempts.give_back(of_address)
        if user.password_hash and is_weak(user.password_hash):
            with suppress(RequestError):  # one that was chosen when shorter ones could be
                self.history.users.set_hash(user.name, user.password_hash, hash_password(password))
        return user


def _role_in(roles: str | None) -> Role | None:
    """The highest of the roles that a header names, such as `staff, operator`; None: it names none."""
    named = {each.strip().lower() for each in (roles or "").split(",")}
    return next((role for role in (Role.OPERATOR, Role.VIEWER) if role in named), None)


def _is_secret(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_SECRET and text.isascii()
