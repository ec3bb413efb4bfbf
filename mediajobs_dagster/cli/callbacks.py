"""The options that name a callback address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mediajobs_dagster.models import Callback, WebhookEvent

Command = TypeVar("Command", bound=Callable[..., Any])

EVENTS = click.Choice([each.value for each in WebhookEvent if each is not WebhookEvent.TEST])


def callback_options(command: Command) -> Command:
    """Add `--callback` and `--callback-event`; `callback_of` reads them."""
    url = click.option(
        "--callback", "callback_url", metavar="URL", help="Tell this address what becomes of it, by webhooks."
    )
    events = click.option(
        "--callback-event",
        "callback_events",
        multiple=True,
        type=EVENTS,
        help="Tell it only this event; can be repeated. Default: all.",
    )
    return url(events(command))


def callback_of(url: str | None, events: tuple[str, ...]) -> Callback | None:
    """What was given; None: no address was."""
    if url is None:
        if events:
            raise click.UsageError("--callback-event needs --callback URL.")
        return None
    return Callback(url=url, events=tuple(map(WebhookEvent, events)))
