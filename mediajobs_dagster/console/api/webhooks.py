"""Deliveries of webhooks: listed, shown and sent again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from mediajobs_dagster.console.api.answers import IdempotencyKey, Media, answer, once, page
from mediajobs_dagster.console.api.parameters import Moment, Paged, Reference, Text
from mediajobs_dagster.console.api.shapes import DeliveryPage, problems
from mediajobs_dagster.history import DeliveryFilter
from mediajobs_dagster.models import DeliveryStatus, WebhookDelivery, WebhookEvent

router = APIRouter(prefix="/api/webhooks", tags=["webhooks"])


class DeliveryListing(Paged):
    """Which deliveries are listed. All conditions that are given have to hold."""

    status: list[DeliveryStatus] = Field(
        default_factory=list[DeliveryStatus], max_length=10, description="One of these."
    )
    event: list[WebhookEvent] = Field(default_factory=list[WebhookEvent], max_length=10, description="One of these.")
    trace: Text | None = Field(default=None, description="The trace, by its id.")
    job: Text | None = Field(default=None, description="The job, by its id.")
    since: Moment | None = Field(default=None, description="Happened at this moment or later.")

    def chosen(self) -> DeliveryFilter:
        """The filter."""
        return DeliveryFilter(
            statuses=tuple(dict.fromkeys(self.status)),
            events=tuple(dict.fromkeys(self.event)),
            trace_id=self.trace,
            job_id=self.job,
            since=self.since,
        )


@router.get("/deliveries", response_model=DeliveryPage, responses=problems(404, 409))
def list_deliveries(request: Request, media: Media, asked: Annotated[DeliveryListing, Query()]) -> Response:
    """Deliveries, newest first: what callback addresses were told, or will be."""
    chosen = media.choices.deliveries(asked.chosen())
    found = media.webhooks.deliveries(chosen, limit=asked.limit + 1, after=asked.after)
    return page(request, asked, "deliveries", found, lambda each: each.id)


@router.get("/deliveries/{reference}", response_model=WebhookDelivery, responses=problems(404))
def show_delivery(media: Media, reference: Reference) -> Response:
    """A delivery, what it tells, and its latest tries."""
    return answer(media.webhooks.get(reference))


@router.post("/deliveries/{reference}/send", response_model=WebhookDelivery, responses=problems(404, 409))
def send_again(
    request: Request, media: Media, reference: Reference, idempotency_key: IdempotencyKey = None
) -> Response:
    """Have a delivery sent again, under the same `webhook-id`, whether it arrived or not."""
    return once(request, idempotency_key, None, lambda: answer(media.webhooks.send_again(reference)))
