"""Jobs by the HTTP API: listed page by page, filtered, asked for, explained, retried and cancelled."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from mediajobs_dagster.attempts.withdrawal import keys_of
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import Job, JobStatus
from tests.clips import Clips
from tests.console.client import Client
from tests.history.factories import TRACE, a_new_job, an_upload, some_new_jobs
from tests.platform import Platform

THUMB, PROXY = Thumbnail.name, EditProxy.name


@pytest.fixture
def waiting(platform: Platform) -> list[Job]:
    """Five jobs in the queue, newest first."""
    platform.history.jobs.enqueue(some_new_jobs(5))
    return platform.history.jobs.list(JobFilter())


def test_a_list_is_read_page_by_page(client: Client, waiting: list[Job]) -> None:
    """Each page names the next, in the body and in a header, with the conditions; the last one names none."""
    found: list[str] = []
    path = f"/api/jobs?limit=2&type={THUMB}&status=queued&status=dead"
    while path:
        answer = client.get(path)
        found += [job["id"] for job in answer.json["jobs"]]
        path = answer.json["next"]
        assert answer.headers.get("link") == (path and f'<{path}>; rel="next"')
    assert found == [job.id for job in waiting]


def test_filters(client: Client, platform: Platform, clips: Clips) -> None:
    """Each condition finds what it should, and nothing else."""
    upload = platform.add(clips.short(), THUMB)
    platform.work()
    other = platform.register(clips.no_audio())
    platform.media.submit(other.id, [PROXY])
    (attempt,) = platform.attempts(upload, THUMB)
    since = quote((attempt.created_at - timedelta(hours=1)).isoformat())
    of_thumb = [
        *("type=upload_thumb_v1", "type=thumbnail", "status=completed", f"trace={upload.trace_id}"),
        *(f"upload={upload.id}", "upload=short.mp4", "text=SHORT", f"host={attempt.host}&type={THUMB}"),
        *("longerThanMs=0", f"shorterThanMs={10**9}", f"since={since}&status=completed"),
    ]
    for query in of_thumb:
        assert [job["jobType"] for job in client.get(f"/api/jobs?{query}").json["jobs"]] == [THUMB], query
    of_none = ["host=nowhere", f"longerThanMs={10**9}", "shorterThanMs=0", "until=2020-01-01", "text=%25", "text=_"]
    for query in of_none:
        assert client.get(f"/api/jobs?{query}&status=completed").json["jobs"] == [], query


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=501", "limit=99999999999999999999", "limit=x", "status=wrong", "type=unknown", "since=0.5"),
        *("since=yesterday", "since=9999-12-31T23:59:59-12:00", "since=2026-02-30", "until=1e400", "after=%00"),
        *("text=%00", f"text={'x' * 10_000}", f"type={'x' * 10_000}", "error=NO_SUCH_CODE", "trace=zzz", "upload=zzz"),
        *("longerThanMs=-1", f"longerThanMs={10**30}", "after=unknown", "nonsense=1", "type=%27%3B+DROP+TABLE+jobs"),
    ],
)
def test_nonsense_is_refused_with_a_code(client: Client, query: str) -> None:
    """Never a fault of ours."""
    answer = client.get(f"/api/jobs?{query}")
    assert answer.status in (404, 422)
    assert answer.json["code"] in ("REQUEST_INVALID", "NOT_FOUND")
    assert len(answer.text) < 2000


def test_jobs_are_asked_for_once(client: Client, platform: Platform, clips: Clips) -> None:
    """The same request again is the same job; `force` makes another."""
    upload = platform.register(clips.short())
    first, again = (client.post("/api/jobs", {"upload": "short.mp4", "types": [THUMB]}) for _ in range(2))
    assert (first.status, [job["created"] for job in first.json["jobs"]]) == (202, [True])
    assert [(job["created"], job["id"]) for job in again.json["jobs"]] == [(False, first.json["jobs"][0]["id"])]
    forced = client.post("/api/jobs", {"upload": upload.id, "types": [THUMB], "force": True, "trace": TRACE})
    assert forced.json["traceId"] == TRACE
    assert forced.json["jobs"][0]["created"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"upload": "short.mp4", "types": ["unknown"]}, "REQUEST_INVALID"),
        ({"upload": "short.mp4", "types": [THUMB], "params": {"atSeconds": "x"}}, "PARAMETERS_INVALID"),
        ({"upload": "short.mp4", "types": [THUMB, PROXY], "params": {"atSeconds": 1}}, "REQUEST_INVALID"),
        ({"upload": "short.mp4", "types": [THUMB], "params": {"atSeconds": "\0"}}, "REQUEST_INVALID"),
        ({"upload": "short.mp4", "types": [THUMB], "params": {"\ud800": 1}}, "REQUEST_INVALID"),
        ({"upload": "nobody.mp4", "types": [THUMB]}, "NOT_FOUND"),
        ({"upload": "short.mp4", "priority": 10**7}, "REQUEST_INVALID"),
        ({"upload": "short.mp4", "trace": "xyz"}, "REQUEST_INVALID"),
        ({"upload": "short.mp4", "nonsense": 1}, "REQUEST_INVALID"),
        ([], "REQUEST_INVALID"),
        ("text", "REQUEST_INVALID"),
    ],
)
def test_a_bad_body_is_refused_with_a_code(
    client: Client, platform: Platform, clips: Clips, body: object, code: str
) -> None:
    """And nothing is enqueued."""
    platform.register(clips.short())
    assert client.post("/api/jobs", body).json["code"] == code
    assert platform.media.jobs() == []


def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    """Cut off, nested without end, or of another type."""
    kind = [("Content-Type", "application/json")]
    for body in ('{"upload": ', "[" * 100_000, '{"upload": "a"}x', b"\xff\xfe"):
        answer = client.ask("POST", "/api/jobs", kind, body)
        assert (answer.status, answer.json["code"]) == (422, "REQUEST_INVALID")
    assert client.ask("POST", "/api/jobs", [("Content-Type", "text/plain")], "{}").status == 422


def test_a_large_body_is_refused(client: Client) -> None:
    """By its length, before it is read."""
    answer = client.post("/api/jobs", {"upload": "x" * (6 << 20)})
    assert (answer.status, answer.json["code"]) == (413, "REQUEST_TOO_LARGE")


def test_a_large_body_of_unknown_length_is_refused(client: Client) -> None:
    """As soon as it is too large."""
    parts = urlsplit(client.url)
    piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(
            b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + 6 * piece + b"0\r\n\r\n"
        )
        assert connection.recv(12) == b"HTTP/1.1 413"


def test_a_job_is_shown_and_explained(client: Client, platform: Platform, clips: Clips) -> None:
    """By an id or a name, as the command line's --json does."""
    platform.add(clips.short(), THUMB)
    platform.work()
    (job,) = platform.media.jobs()
    shown = client.get("/api/jobs/short.mp4").json
    assert shown == platform.media.job(job.id).to_json()
    assert shown["attempts"][0]["manifest"]["jobType"] == THUMB
    assert client.get(f"/api/jobs/{job.id}/why").json["status"] == "completed"


def test_a_reference_that_means_several_is_refused(client: Client, waiting: list[Job]) -> None:
    """With those it could mean; an unknown one is not found."""
    several = client.get(f"/api/jobs/{TRACE}")
    assert (several.status, several.json["code"]) == (409, "AMBIGUOUS")
    assert waiting[0].id in several.json["detail"]
    assert client.get("/api/jobs/..%2f..%2fetc%2fpasswd").status == 404
    assert client.get(f"/api/jobs/{'x' * 10_000}").status == 422
    assert client.get("/api/jobs/a%00b").status == 422


def test_a_job_is_cancelled_and_queued_again(client: Client, platform: Platform, waiting: list[Job]) -> None:
    """A second cancellation is refused, and so is a retry of what waits."""
    path = f"/api/jobs/{waiting[0].id}"
    assert client.post(f"{path}/cancel").json["status"] == "cancelled"
    assert client.post(f"{path}/cancel").json["code"] == "ILLEGAL_TRANSITION"
    platform.history.uploads.add(an_upload(id=waiting[0].subject_id))
    platform.storage.put(Path(__file__), an_upload().storage_key, content_type="text/plain")
    assert client.post(f"{path}/retry", {"force": True}).json["status"] == "queued"
    assert client.post(f"{path}/retry").status == 409


def test_many_are_cancelled_by_a_filter(client: Client, platform: Platform, waiting: list[Job]) -> None:
    """Counted first; then it is on record who did it: the API."""
    body = {"filter": {"type": THUMB}, "reason": "wrong bucket"}
    dry = client.post("/api/jobs/cancel", {**body, "dryRun": True}).json
    assert (dry["dryRun"], dry["count"]) == (True, 5)
    assert client.get("/api/actions").json["actions"] == []
    done = client.post("/api/jobs/cancel", body).json
    assert (done["count"], done["byType"]) == (5, {THUMB: 5})
    assert {job.status for job in platform.media.jobs()} == {JobStatus.CANCELLED}
    (action,) = client.get("/api/actions").json["actions"]
    assert (action["who"], action["action"], action["reason"]) == ("api", "jobs cancel", "wrong bucket")
    assert len(waiting) == done["count"]


@pytest.mark.parametrize("chosen", [{}, {"status": ["processing"]}, {"type": "unknown"}, {"nonsense": 1}])
def test_a_retry_of_everything_is_refused(client: Client, chosen: dict[str, object]) -> None:
    """Without a condition, with a status that cannot be retried, with a mistyped name."""
    assert client.post("/api/jobs/retry", {"filter": chosen}).status == 422


def test_a_trace_is_a_tree(client: Client, platform: Platform) -> None:
    """Children lie below the job that asked for them; the numbers are of all."""
    (parent,) = platform.history.jobs.enqueue([a_new_job(subject_id="p")])
    platform.history.jobs.enqueue([a_new_job(parent_job_id=parent.job.id) for _ in range(2)])
    tree = client.get(f"/api/traces/{TRACE}").json
    assert [len(each["children"]) for each in tree["jobs"]] == [2]
    assert (tree["statuses"], tree["moreJobs"]) == ({"queued": 3}, 0)


def test_how_every_kind_of_job_stands(client: Client, platform: Platform, clips: Clips) -> None:
    """Last run, history, breaker, schedule; and the quotas. Of one type, as much as is asked for."""
    platform.add(clips.short(), THUMB)
    platform.work()
    found = client.get("/api/jobs/status").json
    assert {"history_cleanup", THUMB} <= set(found["jobs"])
    assert found["jobs"][THUMB]["lastRun"]["status"] == "success"
    assert found["jobs"][THUMB]["breaker"]["state"] == "closed"
    assert found["jobs"]["history_cleanup"]["schedule"]["nextMoment"]
    assert "youtube.search" in found["quota"]
    history = client.get(f"/api/jobs/history/{THUMB}?limit=1").json
    assert (history["jobName"], len(history["history"])) == (THUMB, 1)
    assert client.get(f"/api/jobs/history/{THUMB}?limit=101").status == 422
    assert client.get("/api/jobs/history/unknown").status == 422


def test_what_has_not_changed_is_not_sent_again(client: Client, platform: Platform, waiting: list[Job]) -> None:
    """By its ETag; once something changes, it is sent."""
    first = client.get("/api/jobs")
    known = [("If-None-Match", f'"other", W/{first.headers["etag"]}')]
    again = client.get("/api/jobs", known)
    assert (again.status, again.text, again.headers["etag"]) == (304, "", first.headers["etag"])
    platform.media.cancel(waiting[0].id)
    assert client.get("/api/jobs", known).status == 200


def test_search_throughput_and_envelope(client: Client, platform: Platform, clips: Clips) -> None:
    """Each as Python has it; without an envelope there is none to draw."""
    platform.add(clips.landscape(), THUMB, "upload_audio_envelope_v1")
    platform.work()
    (upload,) = client.get(f"/api/search?q={clips.landscape().name}").json["hits"]
    assert (upload["kind"], upload["isExact"]) == ("upload", True)
    assert client.get("/api/search").status == 422
    throughput = client.get("/api/throughput?hours=2").json
    assert (throughput["attempts"], throughput["spanSeconds"], throughput["successRate"]) == (2, 3600, 1.0)
    assert client.get("/api/throughput?hours=100000").status == 422
    attempts = {each.job_name: each for each in platform.media.attempts()}
    of_thumb = client.get(f"/api/attempts/{attempts[THUMB].id}/envelope")
    made = client.get(f"/api/attempts/{attempts['upload_audio_envelope_v1'].id}/envelope")
    assert of_thumb.json == made.json
    assert all(0 <= each <= 1 for each in made.json["points"])
    (key,) = keys_of(attempts["upload_audio_envelope_v1"])
    platform.storage.delete(key)
    assert client.get(f"/api/attempts/{attempts[THUMB].id}/envelope").status == 404


def test_capacity(client: Client, platform: Platform, clips: Clips) -> None:
    """As the use case reckons it; what makes no sense is refused."""
    platform.add(clips.short(), THUMB)
    platform.work()
    report = client.get("/api/capacity?growth=2&daysAhead=10&load=0.5").json
    assert [each["jobType"] for each in report["cohorts"]] == [THUMB]
    assert (report["growth"], report["daysAhead"], report["load"]) == (2, 10, 0.5)
    assert client.get("/api/capacity?until=2000-01-01T00:00:00Z").json["cohorts"] == []
    for asked in ("load=0", "load=1.5", "growth=0", "daysAhead=0", "since=2999-01-01T00:00:00Z", "price=1"):
        assert client.get(f"/api/capacity?{asked}").status == 422
