"""Checks a callback address before anything is enqueued."""

from __future__ import annotations

from urllib.parse import urlsplit

from mediajobs_dagster.errors import CallbackInvalidError
from mediajobs_dagster.models import Callback, WebhookEvent
from mediajobs_dagster.services.addresses import check_number
from mediajobs_dagster.settings import Settings

_LONGEST = 2000


def checked(callback: Callback | str, settings: Settings) -> Callback:
    """The callback, if it can be used.

    Where its name leads to is only seen when it is called, each time anew. Raises CallbackInvalidError, and
    AddressRefusedError for the number of a private address.
    """
    wanted = Callback(url=callback) if isinstance(callback, str) else callback
    if not settings.webhook_secret:
        raise CallbackInvalidError(
            "No callback address is taken, because nothing would sign what it is told. Set MEDIAJOBS_WEBHOOK_SECRET, "
            "and give the receiver the same secret."
        )
    host = _host_of(wanted.url)
    check_number(host, settings.private_addresses)
    if WebhookEvent.TEST in wanted.events:
        raise CallbackInvalidError("The event `test` is only sent by `mediajobs webhooks test`.")
    return wanted.model_copy(update={"events": tuple(dict.fromkeys(wanted.events))})


def _host_of(url: str) -> str:
    fault = "The callback address is not valid. Give an http:// or https:// address, such as https://example.com/hooks."
    if len(url) > _LONGEST:
        raise CallbackInvalidError(f"The callback address has more than {_LONGEST:,} characters. Use a shorter one.")
    if not url.isascii() or not url.isprintable() or " " in url or "#" in url:
        raise CallbackInvalidError(f"{fault} Encode blanks and special characters, and leave out a fragment.")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:  # brackets that do not close, or a port that is no number
        raise CallbackInvalidError(fault) from None
    if parts.scheme not in ("http", "https") or not host:
        raise CallbackInvalidError(fault)
    return host
