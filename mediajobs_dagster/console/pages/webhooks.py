"""Webhooks: the list of deliveries, and one of them with what it tells and its tries."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import QueryParams

from mediajobs_dagster.console.pages.asking import Form, Media, within
from mediajobs_dagster.console.pages.rendering import render
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history import DeliveryFilter
from mediajobs_dagster.models import DeliveryStatus, WebhookDelivery, WebhookEvent
from mediajobs_dagster.storage.redaction import redact_values

router = APIRouter(include_in_schema=False)

_PAGE = 50
_EVENTS = tuple(each for each in WebhookEvent if each is not WebhookEvent.TEST)


@router.get("/webhooks")
def list_deliveries(request: Request, media: Media) -> Response:
    """A page of the list, newest first."""
    query = request.query_params
    found, fault = list[WebhookDelivery](), None
    try:
        chosen = media.choices.deliveries(_filter_of(query))
        found = media.webhooks.deliveries(chosen, limit=_PAGE + 1, after=query.get("after") or None)
    except RequestError as error:  # the bar stays, so that what is wrong in it can be mended
        fault = error
    shown = found[:_PAGE]
    return render(
        request,
        "webhooks.html",
        status=400 if fault else 200,
        fault=fault,
        deliveries=shown,
        next_after=shown[-1].id if len(found) > _PAGE else None,
        asked={name: query.get(name, "").strip() for name in ("status", "event", "trace", "job")},
        statuses=list(DeliveryStatus),
        events=_EVENTS,
        has_secret=bool(media.settings.webhook_secret),
    )


@router.get("/webhooks/{delivery_id}")
def show_delivery(request: Request, media: Media, delivery_id: str) -> Response:
    """Where it goes, what it tells, and what came of its tries."""
    delivery = media.webhooks.get(delivery_id)
    body = json.dumps(redact_values(delivery.body), indent=2, ensure_ascii=False)
    return render(request, "webhook.html", delivery=delivery, body=body)


@router.post("/webhooks/{delivery_id}/send")
def send_again(media: Media, delivery_id: str, form: Form) -> Response:
    """Have it sent again, and show it."""
    delivery = media.webhooks.send_again(delivery_id)
    return RedirectResponse(within(form.get("back"), f"/webhooks/{delivery.id}"), 303)


def _filter_of(query: QueryParams) -> DeliveryFilter:
    """What the address asks for; what names no status and no event is left out."""
    status, event = query.get("status", ""), query.get("event", "")
    return DeliveryFilter(
        statuses=(DeliveryStatus(status),) if status in set(DeliveryStatus) else (),
        events=(WebhookEvent(event),) if event in set(WebhookEvent) else (),
        trace_id=query.get("trace", "").strip() or None,
        job_id=query.get("job", "").strip() or None,
    )
