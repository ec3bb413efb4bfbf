"""What callback addresses were told: listed, shown, sent again and tried out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass

from mediajobs_dagster.history import Action, DeliveryFilter, History
from mediajobs_dagster.models import (
    Callback,
    DeliveryStatus,
    JsonObject,
    WebhookDelivery,
    WebhookEvent,
    new_trace_id,
    utc_now,
)
from mediajobs_dagster.services.redirects import shown_address
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.webhooks.callbacks import checked
from mediajobs_dagster.webhooks.delivering import Delivering, Sent, delivering
from mediajobs_dagster.webhooks.trying import Trying, Verdict

_WITHIN_S = 60.0


@dataclass(frozen=True)
class WebhookTrial:
    """What became of a test webhook."""

    url: str
    arrived: bool
    status: int | None
    """The HTTP status of the answer; None: there was none."""
    error: str | None
    """Why it did not arrive."""
    took_ms: int

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {"tookMs": self.took_ms, **{name: each for name, each in asdict(self).items() if name != "took_ms"}}


@dataclass(frozen=True)
class Webhooks:
    """Lists deliveries, and has them sent. Of addresses the host is shown: the path may be a secret."""

    settings: Settings
    history: Callable[[], History]

    def check(self, callback: Callback | str) -> Callback:
        """The callback, if it can be used. Raises CallbackInvalidError and AddressRefusedError.

        Where a name leads to is only seen when it is called, each time anew.
        """
        return checked(callback, self.settings)

    def deliveries(
        self, filter: DeliveryFilter | None = None, *, limit: int = 50, after: str | None = None
    ) -> list[WebhookDelivery]:
        """One page, newest first. `after` is the last id of the page before; NotFoundError if it is gone."""
        found = self.history().webhooks.list(filter or DeliveryFilter(), limit=limit, after=after)
        return [_shown(each) for each in found]

    def get(self, delivery_id: str) -> WebhookDelivery:
        """A delivery with its body and its tries. Raises NotFoundError."""
        return _shown(self.history().webhooks.get(delivery_id))

    def send_again(self, delivery_id: str) -> WebhookDelivery:
        """Have a delivery sent anew, whether it arrived or not; its id stays, so a receiver knows it again.

        It gets all of its tries. `mediajobs up` sends it. Raises NotFoundError.
        """
        history = self.history()
        found = _shown(history.webhooks.send_again(delivery_id))
        history.actions.record(Action(action="webhook send", target=found.id, count=1, details={"url": found.url}))
        return found

    def deliver(self) -> Sent:
        """Send what is due, and wait for it, a minute at most. Several processes may do so at the same time."""
        if not self.settings.webhook_secret:
            return Sent(0, 0)
        with closing(Delivering(self.settings, self.history)) as sender:
            return sender.send_all(within_s=_WITHIN_S)

    def delivering(self, *, to_the_end: bool = False) -> AbstractContextManager[None]:
        """While the `with` block runs, send what is due. With `to_the_end`, also what is due when it ends."""
        return delivering(self.settings, self.history, to_the_end=to_the_end)

    def test(self, url: str) -> WebhookTrial:
        """Send a test webhook to an address at once, past the outbox.

        Raises CallbackInvalidError, also where no secret is set, and AddressRefusedError.
        """
        callback = self.check(url)
        at, trace_id = utc_now(), new_trace_id()
        delivery = WebhookDelivery(
            id=new_trace_id(),
            event=WebhookEvent.TEST,
            trace_id=trace_id,
            job_id=None,
            subscription_id="",
            url=callback.url,
            data={"traceId": trace_id, "message": "This is a test. Somebody ran `mediajobs webhooks test`."},
            created_at=at,
            due_at=at,
            status=DeliveryStatus.PENDING,
            tries=1,
            delivered_at=None,
        )
        with closing(Trying(self.settings)) as trying:
            outcome = trying.send(delivery)
        tried, arrived = outcome.tried, outcome.verdict is Verdict.DELIVERED
        return WebhookTrial(
            shown_address(callback.url, hides_path=True), arrived, tried.status, tried.error, tried.took_ms
        )


def _shown(delivery: WebhookDelivery) -> WebhookDelivery:
    return delivery.model_copy(update={"url": shown_address(delivery.url, hides_path=True)})
