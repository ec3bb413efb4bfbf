"""Templates, and the headers that every page has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import QueryParams
from starlette.requests import Request

from mediajobs_dagster import __version__
from mediajobs_dagster.access.visitor import visitor_in
from mediajobs_dagster.console.pages import words
from mediajobs_dagster.models import utc_now
from mediajobs_dagster.orchestration.serving.paths import DAGSTER
from mediajobs_dagster.printable import in_one_line, money
from mediajobs_dagster.storage.redaction import redact

HEADERS = {
    # Scripts, styles, pictures and films of ours alone, and none that stand in the page itself.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""What browsers are told with every page."""

NAVIGATION = (
    ("Overview", "/"),
    ("Jobs", "/jobs"),
    ("Uploads", "/uploads"),
    ("Schedules", "/schedules"),
    ("Storage", "/storage"),
    ("Capacity", "/capacity"),
    ("Webhooks", "/webhooks"),
    ("Dagster", f"{DAGSTER}/"),
)


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """The page that a template makes of these values."""
    text = (
        _templates()
        .get_template(template)
        .render(
            **values,
            here=request.url.path,
            query=request.query_params,
            navigation=NAVIGATION,
            now=utc_now(),
            visitor=visitor_in(request.scope),
        )
    )
    return HTMLResponse(text, status, HEADERS)


def address(path: str, query: Mapping[str, Any] | QueryParams | None = None, **changes: str | None) -> str:
    """A path with a query. `changes` replace what the query has by that name; None takes it out."""
    given = query.multi_items() if isinstance(query, QueryParams) else list((query or {}).items())
    kept = [(name, value) for name, value in given if name not in changes and value not in (None, "")]
    added = [(name, value) for name, value in changes.items() if value is not None]
    text = str(QueryParams([*kept, *added]))
    return f"{path}?{text}" if text else path


@cache
def _templates() -> Environment:
    found = Environment(
        loader=PackageLoader("mediajobs_dagster.console.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    shown: tuple[Callable[..., str | None], ...] = (
        *(words.duration, words.clock, words.size, words.rtf, words.percent, words.moment, words.machine_moment),
        *(words.short, words.count, words.codec, words.media_info, words.host, words.as_json),
    )
    # They are typed by what is in them at first.
    filters, names = cast("dict[str, Any]", found.filters), cast("dict[str, Any]", found.globals)
    filters |= {each.__name__: each for each in shown} | {"in_one_line": in_one_line, "money": money}
    names |= {"address": address, "version": __version__, "dagster": DAGSTER}
    return found


def _shown(value: object) -> object:
    # Whatever is shown has no secrets; what is markup already was looked at when it was made.
    if value is None:
        return "–"
    return redact(value) if type(value) is str else value
