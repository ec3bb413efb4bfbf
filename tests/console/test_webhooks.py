"""Webhooks by HTTP and on their pages: asked for, listed, shown and sent again."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from mediajobs_dagster.models import Upload
from mediajobs_dagster.system import MediaJobs
from tests.console.client import Client
from tests.console.test_pages import PAGE, assert_follows_policy, post
from tests.history.factories import a_media_info, an_upload
from tests.platform import Platform
from tests.webhooks.receiver import SECRET, receiving

THUMB = "upload_thumb_v1"
DELIVERIES = "/api/webhooks/deliveries"
HIDDEN = "https://bob:hunter2@receiver.example/hooks/keyhunter6?token=keyhunter4"


@pytest.fixture
def media(open_platform: Callable[..., Platform]) -> MediaJobs:
    """An installation with a secret."""
    return open_platform(webhook_secret=SECRET).media


@pytest.fixture
def upload(media: MediaJobs) -> Upload:
    """A file that is known."""
    return media.history.uploads.add(an_upload(media_info=a_media_info(150)))


def test_jobs_may_carry_a_callback(client: Client, media: MediaJobs, upload: Upload) -> None:
    """What it is told is listed, shown and sent again; sent again with a key, once."""
    with receiving(500, 204) as receiver:
        asked = {"upload": upload.id, "types": [THUMB], "callback": receiver.url}
        answer = client.post("/api/jobs", asked)
        assert answer.status == 202
        media.webhooks.deliver()
        (delivery,) = client.get(DELIVERIES).json["deliveries"]
        assert (delivery["event"], delivery["status"], delivery["tried"][0]["status"]) == ("job.queued", "pending", 500)
        assert delivery["jobId"] == answer.json["jobs"][0]["id"]
        again = client.post(f"{DELIVERIES}/{delivery['id']}/send", headers=[("Idempotency-Key", "again")])
        assert (again.status, again.json["tries"]) == (200, 0)
        media.webhooks.deliver()
        assert client.get(f"{DELIVERIES}/{delivery['id']}").json["status"] == "delivered"
        client.post(f"{DELIVERIES}/{delivery['id']}/send", headers=[("Idempotency-Key", "again")])
        assert client.get(f"{DELIVERIES}/{delivery['id']}").json["status"] == "delivered"
        assert len({each.id for each in receiver.got}) == 1
    assert [each.action for each in media.history.actions.list()].count("webhook send") == 1


def test_deliveries_are_filtered_and_read_page_by_page(client: Client, upload: Upload) -> None:
    jobs = [
        client.post("/api/jobs", {"upload": upload.id, "types": [name], "callback": "https://receiver.example/"}).json
        for name in (THUMB, "upload_edit_proxy_v1")
    ]
    (first,) = client.get(f"{DELIVERIES}?trace={jobs[0]['traceId']}").json["deliveries"]
    assert first["traceId"] == jobs[0]["traceId"]
    assert client.get(f"{DELIVERIES}?status=delivered").json["deliveries"] == []
    assert client.get(f"{DELIVERIES}?job={jobs[1]['jobs'][0]['id']}&event=job.queued").json["next"] is None
    page = client.get(f"{DELIVERIES}?limit=1").json
    (last,) = client.get(page["next"]).json["deliveries"]
    assert last["id"] == first["id"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"callback": "nowhere"}, "CALLBACK_INVALID"),
        ({"callback": "http://10.0.0.1/"}, "ADDRESS_REFUSED"),
        ({"callback": "https://receiver.example/", "callbackEvents": ["job.exploded"]}, "REQUEST_INVALID"),
        ({"callbackEvents": ["job.dead"]}, "REQUEST_INVALID"),
    ],
)
def test_what_is_no_callback_is_refused_and_enqueues_nothing(
    client: Client, media: MediaJobs, upload: Upload, given: dict[str, object], code: str
) -> None:
    """At every route that takes one."""
    timeline = {"version": "create_video_v1", "track": [{"kind": "clip", "source": upload.id, "in": 0, "out": 1}]}
    query = urlencode({"name": "a.mp4", **given}, doseq=True)
    answers = [
        client.post("/api/jobs", {"upload": upload.id, **given}),
        client.post("/api/exports", {"timeline": timeline, **given}),
        client.ask("POST", f"/api/uploads?{query}", [("Content-Type", "video/mp4")], b"film"),
    ]
    assert [(each.status, each.json["code"]) for each in answers] == [(422, code)] * 3
    assert media.jobs() == []


def test_a_file_that_is_sent_may_carry_a_callback(client: Client) -> None:
    """In the query."""
    query = urlencode({"name": "a.mp4", "callback": "https://receiver.example/", "callbackEvents": "job.queued"})
    answer = client.ask("POST", f"/api/uploads?{query}&types={THUMB}", [("Content-Type", "video/mp4")], b"film")
    assert answer.status == 201
    assert len(client.get(DELIVERIES).json["deliveries"]) == 1


def test_there_is_no_such_delivery(client: Client) -> None:
    for path in (f"{DELIVERIES}/0123", f"{DELIVERIES}?after=0123"):
        assert client.get(path).json["code"] == "NOT_FOUND"
    assert client.post(f"{DELIVERIES}/0123/send").status == 404
    assert client.get("/webhooks/0123", PAGE).status == 404


# --- pages -----------------------------------------------------------------------------------------------------------


def test_the_page_lists_what_matches_its_address(client: Client, upload: Upload) -> None:
    """Without secrets, with a link to each, and with the filter in the address."""
    assert "Nobody was told of anything yet" in client.get("/webhooks", PAGE).text
    client.post("/api/jobs", {"upload": upload.id, "types": [THUMB], "callback": HIDDEN})
    page = client.get("/webhooks?status=pending&event=job.queued", PAGE)
    assert page.status == 200
    assert "receiver.example/" in page.text
    assert "hunter2" not in page.text
    assert "keyhunter4" not in page.text
    assert "<option selected>pending</option>" in page.text
    assert_follows_policy(page.text)
    assert "No webhook matches" in client.get("/webhooks?status=failed", PAGE).text
    assert client.get("/webhooks?status=nonsense&event=nonsense", PAGE).status == 200
    assert '<a href="/webhooks">Webhooks</a>' in client.get("/jobs", PAGE).text


def test_a_delivery_is_shown_and_sent_again(client: Client, media: MediaJobs, upload: Upload) -> None:
    """With what it tells, its tries, and a button."""
    with receiving(500, 204) as receiver:
        client.post("/api/jobs", {"upload": upload.id, "types": [THUMB], "callback": receiver.url})
        media.webhooks.deliver()
        (delivery,) = media.webhooks.deliveries()
        page = client.get(f"/webhooks/{delivery.id}", PAGE)
        assert "&#34;jobType&#34;: &#34;upload_thumb_v1&#34;" in page.text
        assert "was answered with 500" in page.text
        assert_follows_policy(page.text)
        sent = post(client, f"/webhooks/{delivery.id}/send")
        assert (sent.status, sent.headers["location"]) == (303, f"/webhooks/{delivery.id}")
        media.webhooks.deliver()
        assert "It arrived." in client.get(f"/webhooks/{delivery.id}", PAGE).text


def test_no_answer_shows_secrets_of_an_address(client: Client, upload: Upload) -> None:
    client.post("/api/jobs", {"upload": upload.id, "types": [THUMB], "callback": HIDDEN})
    listed = client.get(DELIVERIES)
    (delivery,) = listed.json["deliveries"]
    shown = client.get(f"{DELIVERIES}/{delivery['id']}")
    assert delivery["url"] == "https://<redacted>@receiver.example/<redacted>"
    for answer in (listed, shown):
        assert "hunter" not in answer.text
