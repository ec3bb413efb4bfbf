"""Signs webhooks as Standard Webhooks asks: https://www.standardwebhooks.com, sections "Webhook metadata" and on."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence

from mediajobs_dagster.models import JsonObject, WebhookDelivery
from mediajobs_dagster.trace_context import HEADER, TraceParent, otel_trace_id


def content_of(delivery: WebhookDelivery) -> bytes:
    """What is sent: the same bytes at each try."""
    return _compact(delivery.body)


def headers_of(delivery: WebhookDelivery, content: bytes, keys: Sequence[bytes], *, at_s: int) -> dict[str, str]:
    """The headers of one try, begun `at_s` seconds after 1970. It is signed with each of the keys.

    A receiver knows by `webhook-id` what it has got before, and by `webhook-timestamp` what is sent anew by another.
    """
    signatures = " ".join(f"v1,{signature(key, delivery.id, at_s, content)}" for key in keys)
    return {
        "content-type": "application/json",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": signatures,
        # The trace is known by the same id in a viewer of traces; the parent is this delivery.
        HEADER: str(TraceParent(otel_trace_id(delivery.trace_id), delivery.id[:16])),
    }


def signature(key: bytes, webhook_id: str, at_s: int, content: bytes) -> str:
    """The HMAC-SHA256 of id, timestamp and content, joined by dots, in base64."""
    signed = b".".join((webhook_id.encode(), str(at_s).encode(), content))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _compact(value: JsonObject) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
