"""Requests with an idempotency key: carried out once, and answered alike."""

from __future__ import annotations

from tests.clips import Clips
from tests.console.client import Client
from tests.platform import Platform

KEY = [("Idempotency-Key", "order-17")]
BODY = {"upload": "short.mp4", "types": ["upload_thumb_v1"], "force": True}


def test_the_same_request_is_carried_out_once(client: Client, platform: Platform, clips: Clips) -> None:
    """`force` would make a new job each time."""
    platform.register(clips.short())
    first, again = (client.post("/api/jobs", BODY, KEY) for _ in range(2))
    assert (first.status, first.json) == (again.status, again.json)
    assert again.headers["idempotency-replayed"] == "true"
    assert len(platform.media.jobs()) == 1


def test_another_request_with_the_key_is_refused(client: Client, platform: Platform, clips: Clips) -> None:
    """Another body, or another path."""
    platform.register(clips.short())
    client.post("/api/jobs", BODY, KEY)
    for path, body in (("/api/jobs", {**BODY, "force": False}), ("/api/jobs/cancel", {"filter": {"type": "x"}})):
        answer = client.post(path, body, KEY)
        assert (answer.status, answer.json["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_what_failed_may_be_sent_again(client: Client, platform: Platform, clips: Clips) -> None:
    """With the same key."""
    assert client.post("/api/jobs", BODY, KEY).status == 404
    platform.register(clips.short())
    assert client.post("/api/jobs", BODY, KEY).status == 202


def test_a_key_that_is_none_is_refused(client: Client) -> None:
    """Empty, too long, or of other characters."""
    for key in ("", "x" * 256, "a b", "ü"):
        assert client.post("/api/jobs", BODY, [("Idempotency-Key", key)]).status == 422
