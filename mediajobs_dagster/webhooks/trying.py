"""One try at a delivery: a request, and what its answer means."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.errors import CancelledError, MediaJobsError, RequestError, ServiceError, ServiceTooLargeError
from mediajobs_dagster.models import DeliveryTry, ServiceCall, WebhookDelivery, utc_now
from mediajobs_dagster.services.base import ServiceContext
from mediajobs_dagster.services.http import HttpClient
from mediajobs_dagster.settings import Settings, key_of_secret
from mediajobs_dagster.webhooks.signing import content_of, headers_of

TIMEOUT_S = 10.0
"""How long one try may take, from looking up the name to the end of the answer."""
TRIES = 12
"""After so many tries a delivery has failed."""
_FIRST_PAUSE_S, _FACTOR, _LONGEST_PAUSE_S = 5.0, 3.0, 6 * 3600.0
_JITTER = 0.1
"""A pause is up to so much longer, so that not all come at once when a receiver is up again."""
_LONGEST_ANSWER = 64 * 1024
_GONE = 410
_SERVICE = "webhook"

_log = logging.getLogger(__name__)


class Verdict(StrEnum):
    """What one try means."""

    DELIVERED = "delivered"
    AGAIN = "again"
    FAILED = "failed"
    """A further try could not help."""
    GONE = "gone"
    """The receiver wants no more."""
    LEFT = "left"
    """This process ends; another one takes it."""


@dataclass(frozen=True)
class Outcome:
    """What came of one try."""

    verdict: Verdict
    tried: DeliveryTry
    again_in_s: float | None = None


def pause_s(tries: int, asked_s: float | None = None, chance: Callable[[], float] = random.random) -> float | None:
    """Seconds until the next try, after so many; None: there is none.

    5 s, 15 s, 45 s, and so on, six hours at most: twelve tries take 23 hours. A receiver may ask for a longer pause, up
    to a day.
    """
    if tries >= TRIES:
        return None
    planned = min(_FIRST_PAUSE_S * _FACTOR ** (tries - 1), _LONGEST_PAUSE_S) * (1 + _JITTER * chance())
    return max(planned, min(asked_s or 0.0, 86_400.0))


class Trying:
    """Makes requests. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet."""
        self._keys = tuple(map(key_of_secret, settings.webhook_secret))
        self._cancellation = Cancellation()
        limits = self._cancellation, Deadline(math.inf, math.inf)
        self._client = HttpClient.open(ServiceContext(settings, *limits, _unrecorded))

    def close(self) -> None:
        """End what is under way."""
        self._cancellation.cancel(CancelledError("The sender of webhooks ends."))
        self._client.close()

    def send(self, delivery: WebhookDelivery) -> Outcome:
        """Make one try. Never raises an error of ours.

        Redirects are not followed: what was agreed on is this address. Its host has to be public, or allowed by
        MEDIAJOBS_PRIVATE_ADDRESSES, at this very call.
        """
        at, began = utc_now(), time.monotonic()

        def tried(status: int | None, error: str | None = None) -> DeliveryTry:
            return DeliveryTry(at=at, took_ms=round((time.monotonic() - began) * 1000), status=status, error=error)

        content = content_of(delivery)
        try:
            answer = self._client.request(
                "POST",
                delivery.url,
                service=_SERVICE,
                op="send",
                headers=headers_of(delivery, content, self._keys, at_s=int(at.timestamp())),
                data=content,
                retry_safe=False,
                max_bytes=_LONGEST_ANSWER,
                timeout_s=TIMEOUT_S,
                follows=False,
                hides_path=True,  # receivers of some services are known by a secret in the path
            )
        except ServiceTooLargeError:  # it has taken it; what it says beside is not read
            return Outcome(Verdict.DELIVERED, tried(200))
        except CancelledError:
            return Outcome(Verdict.LEFT, tried(None))
        except RequestError as error:  # an address that is refused: only a person can mend that
            return Outcome(Verdict.FAILED, tried(None, error.message))
        except MediaJobsError as error:
            status = error.http_status if isinstance(error, ServiceError) else None
            if status == _GONE:
                return Outcome(Verdict.GONE, tried(status, error.message))
            return _again(delivery, tried(status, error.message), error.retry_after_s)
        except Exception as error:  # noqa: BLE001  # the edge of a thread: a fault of ours uses up tries like any other
            _log.exception("Webhook %s could not be sent.", delivery.id)
            return _again(delivery, tried(None, f"INTERNAL: {type(error).__name__}"))
        return Outcome(Verdict.DELIVERED, tried(answer.status))


def _again(delivery: WebhookDelivery, tried: DeliveryTry, asked_s: float | None = None) -> Outcome:
    again_in_s = pause_s(delivery.tries, asked_s)
    return Outcome(Verdict.FAILED if again_in_s is None else Verdict.AGAIN, tried, again_in_s)


def _unrecorded(_call: ServiceCall) -> None:
    """Its tries stand in the delivery itself."""
