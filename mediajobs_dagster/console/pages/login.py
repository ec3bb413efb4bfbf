"""The page that logs in, and the way out."""

from __future__ import annotations

import logging
from functools import partial

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from mediajobs_dagster.access.visitor import VISITOR, Means, visitor_in
from mediajobs_dagster.console.pages.asking import Form, Media, within
from mediajobs_dagster.console.pages.rendering import render
from mediajobs_dagster.console.problems import status_of
from mediajobs_dagster.console.visiting import Reception, cookie_of, forget_cookie, set_cookie
from mediajobs_dagster.errors import LoginPausedError, LoginRefusedError, NotEncryptedError
from mediajobs_dagster.gate.names import Place

router = APIRouter(include_in_schema=False)

_FIRST = "/"

_log = logging.getLogger(__name__)


@router.get("/login")
def show_login(request: Request, media: Media) -> Response:
    """A name, a password, and where to go on. Who is logged in already goes there at once."""
    following = within(request.query_params.get("next"), _FIRST)
    reception: Reception = request.app.state.reception
    if visitor_in(request.scope) is not None:
        return RedirectResponse(following, 303)
    answered = render(request, "login.html", following=following, name="", fault="", proxies=reception.says_who)
    if cookie_of(request.headers, media.settings):
        forget_cookie(answered, media.settings)  # of a session that has ended
    return answered


@router.post("/login")
async def log_in(request: Request, media: Media, form: Form) -> Response:
    """Begin a session, and go on."""
    following = within(form.get("next"), _FIRST)
    reception: Reception = request.app.state.reception
    name, password = form.get("name", ""), form.get("password", "")
    logins = await anyio.to_thread.run_sync(lambda: media.logins)
    try:
        _check_encrypted(request, insecure=media.settings.web_insecure_cookies)
        ask = partial(
            *(logins.log_in, name, password),
            address=reception.client_of(request.scope),
            client=request.headers.get("user-agent", ""),
        )
        secret = await anyio.to_thread.run_sync(ask, limiter=request.app.state.logins)
    except (LoginRefusedError, LoginPausedError, NotEncryptedError) as error:
        # The name is not logged: some type their password there.
        _log.warning("A login from %s was refused: %s", reception.client_of(request.scope), error.code)
        # Nobody is shown as logged in, whoever sent it.
        request.scope[VISITOR] = None
        answered = render(
            *(request, "login.html"),
            status=status_of(type(error)),
            following=following,
            name=name[:100],
            fault=error.message,
            proxies=reception.says_who,
        )
        if error.retry_after_s is not None:
            answered.headers["Retry-After"] = str(int(error.retry_after_s))
        return answered
    if (before := visitor_in(request.scope)) is not None:
        await anyio.to_thread.run_sync(logins.log_out, before)
    answered = RedirectResponse(following, 303, {"Cache-Control": "no-store"})
    set_cookie(answered, secret, media.settings)
    return answered


@router.post("/logout")
def log_out(request: Request, media: Media) -> Response:
    """End the session, and show the page that logs in."""
    visitor = visitor_in(request.scope)
    if visitor is not None and visitor.means is Means.SESSION:
        media.logins.log_out(visitor)
    answered = RedirectResponse("/login", 303, {"Cache-Control": "no-store"})
    forget_cookie(answered, media.settings)
    return answered


def _check_encrypted(request: Request, *, insecure: bool) -> None:
    """Raise NotEncryptedError for a browser that would not send the cookie back: it would only see this page again."""
    scheme, _, rest = request.headers.get("origin", "").partition("://")
    place = Place.parse(rest)
    if not insecure and scheme == "http" and place is not None and not place.is_loopback:
        raise NotEncryptedError
