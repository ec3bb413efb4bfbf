"""Tokens, by which programs come: each with a scope, and a secret that is shown once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from mediajobs_dagster.access.secrets import TOKEN_PREFIX, hash_of, new_secret
from mediajobs_dagster.access.users import Users, name_of
from mediajobs_dagster.errors import AmbiguousError, IllegalTransitionError, NotFoundError, RequestError
from mediajobs_dagster.history import Action, History, this_person
from mediajobs_dagster.history.tokens import Scope, Token
from mediajobs_dagster.models import JsonObject, new_id

_LONGEST_NAME = 100


@dataclass(frozen=True)
class NewToken:
    """A token that was just made."""

    token: Token
    secret: str
    """Shown once: nobody can find it out later."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {**self.token.to_json(), "secret": self.secret}


@dataclass(frozen=True)
class Tokens:
    """The tokens of one installation."""

    history: History

    def create(
        self, name: str, scope: Scope = Scope.VIEWER, *, lasts: timedelta | None = None, user: str | None = None
    ) -> NewToken:
        """Make a token that is good for `scope`, for ever or as long as it `lasts`.

        A token of a user can do no more than the user, and ends with the user. Raises RequestError and NotFoundError.
        """
        name = name.strip()
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            raise RequestError(f"A token needs a name of {_LONGEST_NAME} characters at most, such as ci.")
        if lasts is not None and lasts <= timedelta(0):
            raise RequestError("A token has to last for some time.")
        if user is not None:
            user = Users(self.history).get(user).name
        secret, token_id = TOKEN_PREFIX + new_secret(), new_id()
        action = Action(action="token create", target=name, count=1, details={"id": token_id, "scope": scope.value})
        token = self.history.tokens.add(
            token_id,
            hash_of(secret),
            lasts,
            action,
            name=name,
            scope=scope,
            user_name=user,
            created_by=this_person(),
        )
        return NewToken(token, secret)

    def list(self, user: str | None = None) -> list[Token]:
        """All tokens, revoked ones too, the newest first; those of a user, if one is named."""
        found = self.history.tokens.list()
        return found if user is None else [each for each in found if each.user_name == name_of(user)]

    def revoke(self, reference: str) -> Token:
        """End a token for good. `reference` is its id, the beginning of it, or the name.

        Raises NotFoundError, AmbiguousError, and IllegalTransitionError for one that was revoked already.
        """
        token = self._find(reference)
        action = Action(action="token revoke", target=token.name, count=1, details={"id": token.id})
        if not self.history.tokens.revoke(token.id, action):
            raise IllegalTransitionError(f"The token {token.name} was revoked already.")
        return next(each for each in self.list() if each.id == token.id)

    def _find(self, reference: str) -> Token:
        found = self.list()
        for fitting in (
            [each for each in found if each.id == reference],
            [each for each in found if each.name == reference and each.revoked_at is None],
            [each for each in found if each.name == reference],
            [each for each in found if len(reference) >= 4 and each.id.startswith(reference)],
        ):
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                ids = ", ".join(each.id for each in fitting[:5])
                raise AmbiguousError(f"{reference[:100]!r} can be several tokens: {ids}. Name one by its id.")
        raise NotFoundError(f"There is no token {reference[:100]!r}. `mediajobs token list` lists them.")
