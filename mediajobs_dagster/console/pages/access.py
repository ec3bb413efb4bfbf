"""Who may use the console: oneself, one's logins, and, for operators, users and tokens."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from mediajobs_dagster.access.tokens import NewToken
from mediajobs_dagster.access.visitor import Means, Visitor, visitor_in
from mediajobs_dagster.console.pages.asking import Form, Media
from mediajobs_dagster.console.pages.rendering import render
from mediajobs_dagster.console.visiting import Reception, forget_cookie
from mediajobs_dagster.errors import LoginNeededError, NotAllowedError, RequestError
from mediajobs_dagster.history.tokens import Scope
from mediajobs_dagster.system import MediaJobs

router = APIRouter(include_in_schema=False)

_DAYS = re.compile(r"[0-9]{1,5}")


def _person(request: Request) -> Visitor:
    """Who asks. Raises NotAllowedError for a token: one that leaks must not become two."""
    visitor = visitor_in(request.scope)
    if visitor is None:
        raise LoginNeededError
    if visitor.means is Means.TOKEN and request.method != "GET":
        raise NotAllowedError("A token changes no logins and no tokens. Log in for that.")
    return visitor


Person = Annotated[Visitor, Depends(_person)]
"""Who asks, as a parameter of a route."""


@router.get("/access")
def show_access(request: Request, media: Media, person: Person) -> Response:
    """Oneself; operators see everybody."""
    return _page(request, media, person)


@router.post("/access/password")
async def change_password(request: Request, media: Media, form: Form, person: Person) -> Response:
    """Give oneself another password, and log in anew."""
    if person.means is not Means.SESSION:
        raise RequestError("Only who has logged in with a password can change it here.")
    if form.get("new", "") != form.get("again", ""):
        raise RequestError("The new password was typed in two different ways. Nothing was changed.")
    logins = await anyio.to_thread.run_sync(lambda: media.logins)
    reception: Reception = request.app.state.reception
    ask = partial(
        *(logins.change_password, person.name, form.get("password", ""), form.get("new", "")),
        address=reception.client_of(request.scope),
    )
    await anyio.to_thread.run_sync(ask, limiter=request.app.state.logins)
    answered = RedirectResponse("/login", 303)
    forget_cookie(answered, media.settings)
    return answered


@router.post("/access/sessions/{short_id}/end")
def end_session(media: Media, person: Person, short_id: str) -> Response:
    """End a login: one's own, or, for operators, anybody's."""
    media.logins.end(short_id, None if person.may_change else person.name)
    return RedirectResponse("/access", 303)


@router.post("/access/tokens")
def create_token(request: Request, media: Media, form: Form, person: Person) -> Response:
    """Make a token of one's own, and show its secret, once."""
    days = form.get("days", "")
    if not _DAYS.fullmatch(days) or not int(days):
        raise RequestError("Say for how many days the token is good, such as 90.")
    scope = next((each for each in Scope if each.value == form.get("scope")), Scope.VIEWER)
    user = person.name if media.history.users.get(person.name) else None
    made = media.tokens.create(form.get("name", ""), scope, lasts=timedelta(days=int(days)), user=user)
    return _page(request, media, person, made)


@router.post("/access/tokens/{token_id}/revoke")
def revoke_token(media: Media, person: Person, token_id: str) -> Response:
    """End a token for good."""
    del person  # has been asked whether it is one
    media.tokens.revoke(token_id)
    return RedirectResponse("/access", 303)


def _page(request: Request, media: MediaJobs, person: Visitor, made: NewToken | None = None) -> Response:
    sees_all = person.may_change
    return render(
        *(request, "access.html"),
        person=person,
        sessions=media.logins.sessions(None if sees_all else person.name),
        users=media.users.list() if sees_all else None,
        tokens=media.tokens.list() if sees_all else None,
        made=made,
        scopes=[each.value for each in Scope],
        is_session=person.means is Means.SESSION,
    )
