"""The pages, asked by HTTP as browsers and other clients ask."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from urllib.parse import quote, urlencode

import pytest

from mediajobs_dagster.console.pages.rendering import HEADERS
from mediajobs_dagster.errors import Blame, DatabaseUnavailableError
from mediajobs_dagster.models import AttemptStatus, JobStatus, Upload, utc_now
from mediajobs_dagster.system import MediaJobs
from tests.console.client import Client
from tests.console.showcase import HOSTILE
from tests.history.factories import a_media_info, a_new_job, an_attempt, an_upload, some_new_jobs
from tests.servers.asgi import Answer

PAGE = [("Accept", "text/html,application/xhtml+xml")]
PATHS = [
    "/",
    "/?range=90d",
    "/jobs",
    "/uploads",
    "/storage",
    "/storage?candidates=1",
    "/capacity",
    "/search",
    "/search?q=nothing",
    "/schedules",
    "/webhooks",
]


@pytest.fixture
def upload(media: MediaJobs) -> Upload:
    """A file, and a job on it that waits."""
    upload = media.history.uploads.add(an_upload(media_info=a_media_info(150)))
    media.history.jobs.enqueue([a_new_job(subject_id=upload.id)])
    return upload


@pytest.fixture
def dead(media: MediaJobs, upload: Upload) -> str:
    """The id of a job that has failed for good."""
    leases = media.history.leases
    dispatch = leases.assign("upload_thumb_v1", limit=1, lease_s=60)
    assert dispatch
    claim = leases.claim(dispatch.id, run_id="run-1", host="worker-1", lease_s=60)
    assert claim
    ended = claim.attempt.model_copy(
        update={"status": AttemptStatus.FAILURE, "completed_at": claim.attempt.started_at, "duration_ms": 1234}
        | {"error_code": "INPUT_CORRUPT", "blame": Blame.INPUT, "error": "The file is broken."}
    )
    leases.finish(ended, job_status=JobStatus.DEAD)
    return claim.job.id


def post(client: Client, path: str, **fields: str) -> Answer:
    """Send a form as browsers do."""
    return client.ask("POST", path, [("Content-Type", "application/x-www-form-urlencoded"), *PAGE], urlencode(fields))


@pytest.mark.parametrize("path", PATHS)
def test_every_page_stands_on_an_empty_installation(client: Client, path: str) -> None:
    """With the headers that keep scripts of others out, and nothing of its own that these would forbid."""
    answer = client.get(path, PAGE)
    assert answer.status == 200
    assert {name: answer.headers[name.lower()] for name in HEADERS} == HEADERS
    assert_follows_policy(answer.text)


class _Policy(HTMLParser):
    """Notes what the content-security policy would forbid."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        addresses = [given.get(name) or "" for name in ("src", "href", "action")]
        is_inline = tag == "style" or (tag == "script" and "src" not in given)
        is_foreign = any(each.startswith(("http:", "https:", "//", "javascript:")) for each in addresses)
        if is_inline or is_foreign or any(name == "style" or name.startswith("on") for name in given):
            self.faults.append(str((tag, attrs)))


def assert_follows_policy(text: str) -> None:
    """No style, script or handler in the page itself, and nothing from another host."""
    policy = _Policy()
    policy.feed(text)
    assert policy.faults == []


@pytest.mark.parametrize(
    "query", ["status=dead&status=nope", "error=NOPE", "since=soon", "trace=zz", "since=9999-99-99"]
)
def test_a_filter_that_cannot_be_used_is_said_beside_the_filter(client: Client, query: str) -> None:
    """So that it can be mended where it was typed."""
    answer = client.get(f"/jobs?{query}", PAGE)
    assert answer.status == 400
    assert "This filter cannot be used." in answer.text
    assert 'name="error"' in answer.text


@pytest.mark.parametrize("name", ["text", "trace", "error", "host", "type", "since", "after", "status"])
def test_nonsense_in_a_filter_does_no_harm(client: Client, upload: Upload, name: str) -> None:
    """It is refused, or finds nothing that was not asked for."""
    for nonsense in ("'; DROP TABLE jobs; --", "%", "\x00", "x" * 10_000, "\N{PILE OF POO}", "{{7*7}}", "\ud800"):
        text = quote(nonsense, safe="", errors="surrogatepass")
        answer = client.get(f"/jobs?{name}={text}", PAGE)
        assert 200 <= answer.status < 500, (nonsense, answer.text)
        assert answer.text.count("data-id=") <= 1
        assert client.get(f"/search?q={text}", PAGE).status < 500


def test_what_is_typed_is_no_template(client: Client) -> None:
    """It is shown as it is."""
    text = client.get("/search?q=%7B%7B7*7%7D%7D", PAGE).text
    assert "{{7*7}}" in text
    assert "“49”" not in text


def test_names_of_files_are_text(client: Client, media: MediaJobs) -> None:
    """Whatever is in them: a file is named by whoever sends it."""
    hostile = media.history.uploads.add(an_upload(filename=HOSTILE))
    (queued,) = media.history.jobs.enqueue([a_new_job(subject_id=hostile.id)])
    places = [f"/uploads/{hostile.id}", f"/jobs/{queued.job.id}", "/jobs", "/uploads"]
    places += [f"/search?q={quote('img src')}", f"/jobs?text={quote(HOSTILE)}"]
    for path in places:
        answer = client.get(path, PAGE)
        text = client.get(answer.headers["location"], PAGE).text if answer.status == 303 else answer.text
        assert "<img src=x" not in text
        assert "&lt;img src=x onerror=" in text
        assert_follows_policy(text)


def test_a_row_shows_what_is_known(client: Client, dead: str) -> None:
    """Status, name, error, input, tries, duration."""
    text = client.get("/jobs", PAGE).text
    row = text[text.index(f'id="job-{dead}"') :]
    for shown in ("dead", "Ferien am See", "INPUT_CORRUPT", "2:30", "1.2 s", "worker-1"):
        assert shown in row


def test_errors_are_counted_above_the_list(client: Client, dead: str) -> None:
    """The count leads to the jobs; once chosen, the way back is there."""
    assert 'href="/jobs?error=INPUT_CORRUPT"><b>1</b> INPUT_CORRUPT' in client.get("/jobs", PAGE).text
    assert 'href="/jobs?status=dead"' in client.get("/jobs?status=dead&error=INPUT_CORRUPT", PAGE).text


def test_pages_are_turned_by_key(client: Client, media: MediaJobs) -> None:
    """The filter goes along."""
    media.history.jobs.enqueue([a_new_job() for _ in range(51)])
    text = client.get("/jobs?status=queued", PAGE).text
    following = re.search(r'rel="next" href="([^"]+)"', text)
    assert following
    assert text.count("data-row") == 50 + 1  # and the table
    second = client.get(following[1].replace("&amp;", "&"), PAGE).text
    assert second.count("data-id=") == 1
    assert 'value="queued" checked' in second


def test_only_rows_that_are_asked_for_are_sent_again(client: Client, media: MediaJobs) -> None:
    """The fragment is small, however long the list."""
    first, second = (each.job.id for each in media.history.jobs.enqueue([a_new_job(), a_new_job()]))
    text = client.get(f"/jobs/rows?id={first}", PAGE).text
    assert first in text
    assert second not in text
    assert "<html" not in text


def test_jobs_that_are_new_since_a_list_was_shown_are_counted(client: Client, media: MediaJobs) -> None:
    """Not those that move up from the next page, because one of the list matches no more."""
    jobs = [each.job for each in media.history.jobs.enqueue(some_new_jobs(60))]
    path = unescape(re.findall('data-part="(/jobs/newer[^"]+)"', client.get("/jobs?status=queued", PAGE).text)[0])
    assert path.count("id=") == 50
    assert "new job" not in client.get(path, PAGE).text
    for number in (40, 10):  # in the middle, and the last one
        media.cancel(jobs[number].id)
    assert "new job" not in client.get(path, PAGE).text
    media.history.jobs.enqueue([a_new_job()])
    assert "Show 1 new job<" in client.get(path, PAGE).text
    media.history.jobs.enqueue(some_new_jobs(70))
    assert "Show 50 or more new jobs<" in client.get(path, PAGE).text


def test_a_job_is_retried_and_cancelled_by_forms(client: Client, media: MediaJobs, dead: str) -> None:
    """Then the page of the job, or the one that it was asked from."""
    media.history.uploads.add(an_upload())
    media.history.jobs.retry(dead)
    answer = post(client, f"/jobs/{dead}/cancel", back="/jobs?status=dead")
    assert (answer.status, answer.headers["location"]) == (303, "/jobs?status=dead")
    assert media.history.jobs.get(dead).status is JobStatus.CANCELLED
    assert post(client, f"/jobs/{dead}/cancel").status == 409


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/\\evil.example", "", "/x\r\nSet-Cookie: a=b"]
)
def test_an_action_never_leads_to_another_site(client: Client, media: MediaJobs, back: str) -> None:
    """Whatever the form says."""
    (queued,) = media.history.jobs.enqueue([a_new_job()])
    answer = post(client, f"/jobs/{queued.job.id}/cancel", back=back)
    assert (answer.status, answer.headers["location"]) == (303, f"/jobs/{queued.job.id}")


def test_a_bulk_action_says_the_number_first(client: Client, media: MediaJobs) -> None:
    """Looking changes nothing; doing it is on record with its reason."""
    media.history.jobs.enqueue([a_new_job() for _ in range(3)])
    asked = client.get("/jobs/bulk/cancel?type=upload_thumb_v1", PAGE).text
    assert "Cancel 3 jobs?" in asked
    assert media.history.jobs.counts()["upload_thumb_v1"][JobStatus.QUEUED] == 3
    done = post(client, "/jobs/bulk/cancel?type=upload_thumb_v1", reason="a test").text
    assert "Cancelled: 3 jobs" in done
    assert media.history.jobs.counts()["upload_thumb_v1"][JobStatus.CANCELLED] == 3
    assert media.history.actions.list()[0].reason == "a test"


def test_a_bulk_action_leaves_out_what_came_after_it_was_shown(client: Client, media: MediaJobs) -> None:
    """What is done is what was counted."""
    media.history.jobs.enqueue(some_new_jobs(2))
    page = client.get("/jobs/bulk/cancel?type=upload_thumb_v1", PAGE).text
    (action,) = re.findall(r'action="(/jobs/bulk/[^"]+)"', page)
    (later,) = media.history.jobs.enqueue([a_new_job()])
    assert "Cancelled: 2 jobs" in post(client, unescape(action)).text
    assert media.job(later.job.id).job.status is JobStatus.QUEUED


def test_no_page_takes_a_zero_character(client: Client) -> None:
    """PostgreSQL takes none in any text."""
    for path in (
        "/jobs?text=a%00",
        "/jobs/a%00b",
        "/search?q=%00",
        "/jobs/rows?id=%00",
        "/uploads?name=%00",
        "/?a=%00",
    ):
        assert client.get(path, PAGE).status == 422
    assert post(client, "/jobs/bulk/cancel?status=queued", reason="\0").status == 422


def test_a_bulk_action_without_a_filter_is_refused(client: Client, upload: Upload) -> None:
    """It would be on everything."""
    assert post(client, "/jobs/bulk/cancel").status == 422
    assert client.get("/jobs/bulk/explode?status=dead", PAGE).status == 422


def test_a_form_of_any_size_is_not_read(client: Client, upload: Upload) -> None:
    """What no page of ours sends."""
    assert post(client, "/jobs/bulk/cancel?status=queued", reason="x" * 100_000).status == 413


@pytest.mark.parametrize(
    "path", ["/jobs/zzzz", "/attempts/zzzz", "/uploads/zzzz", "/nowhere", "/static/../app.py", "/static/%2e%2e/site.py"]
)
def test_what_is_not_there_is_a_page_with_a_code(client: Client, path: str) -> None:
    """For browsers; programs get problem details."""
    answer = client.get(path, PAGE)
    assert answer.status == 404
    assert "<h1>Nothing is here</h1>" in answer.text
    assert "NOT_FOUND" in answer.text
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert client.get(path).json["code"] == "NOT_FOUND"


def test_secrets_in_parameters_are_not_shown(client: Client, media: MediaJobs, upload: Upload) -> None:
    """On the page of a job, in its JSON, and in lists: neither those in texts nor those that are named as secrets."""
    params = {"from": "https://media.example/a.mp4?X-Amz-Signature=5ec4e7", "api_key": "5ec4e7", "note": "<b>"}
    media.history.jobs.enqueue([a_new_job(subject_id=upload.id, idempotency_key="k-secrets", params=params)])
    (job,) = (each for each in media.jobs() if "from" in each.params)
    for path in (f"/jobs/{job.id}", f"/api/jobs/{job.id}", "/api/jobs"):
        answer = client.get(path)
        assert answer.status == 200
        assert "media.example" in answer.text
        assert "5ec4e7" not in answer.text
    assert "&lt;b&gt;" in client.get(f"/jobs/{job.id}").text


def test_head_is_answered_wherever_get_is(client: Client, dead: str) -> None:
    """With the same headers and without the body; a stream of events, which never ends, has none."""
    for path in ("/", "/jobs", f"/jobs/{dead}", "/api/jobs", f"/api/jobs/{dead}", "/static/console.css", "/healthz"):
        got, head = client.get(path), client.ask("HEAD", path)
        assert (head.status, head.text) == (got.status, "")
        assert head.headers["content-type"] == got.headers["content-type"]
    assert client.ask("HEAD", f"/jobs/{'0' * 32}").status == 404
    assert client.ask("HEAD", "/api/events").status == 405
    assert client.ask("HEAD", f"/api/jobs/{dead}/events").status == 405
    assert client.ask("HEAD", f"/api/jobs/{dead}/retry").status == 405


def test_below_api_browsers_get_what_programs_get(client: Client) -> None:
    """An address of the API is the same for everybody."""
    assert client.get("/api/jobs/zzzz", PAGE).json["code"] == "NOT_FOUND"


@pytest.mark.parametrize("path", ["/", "/jobs", "/uploads"])
def test_a_database_that_is_down_is_said_by_a_page(
    client: Client, media: MediaJobs, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """It tries again by itself, and works once the database is back."""

    def down(*_arguments: object, **_options: object) -> None:
        raise DatabaseUnavailableError("The database does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(type(media.history.jobs), "list", down)
        patch.setattr(type(media.history.uploads), "list", down)
        patch.setattr(type(media.history.jobs), "counts", down)
        answer = client.get(path, PAGE)
    assert (answer.status, "retry-after" in answer.headers) == (503, True)
    assert "Not available right now" in answer.text
    assert client.get(path, PAGE).status == 200


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("input_corrupt", "/jobs?error=INPUT_CORRUPT"),
        ("0af7651916cd43dd8448eb211c80319c", "/traces/0af7651916cd43dd8448eb211c80319c"),
        ("Ferien am See 🏖.mp4", "/uploads/UPLOAD"),
        ("ferien", "/uploads/UPLOAD"),
        ("JOB", "/jobs/JOB"),
        ("UPLOAD", "/uploads/UPLOAD"),
    ],
)
def test_search_goes_to_what_is_meant(client: Client, upload: Upload, dead: str, text: str, place: str) -> None:
    """Any id, trace, file name or error code."""

    def real(words: str) -> str:
        return words.replace("UPLOAD", upload.id).replace("JOB", dead)

    answer = client.get(f"/search?q={quote(real(text))}", PAGE)
    assert (answer.status, answer.headers.get("location")) == (303, real(place))


def test_overview_counts_what_ended(client: Client, dead: str) -> None:
    """By type, by error, and as a rate."""
    text = client.get("/", PAGE).text
    for shown in ("INPUT_CORRUPT", "upload_thumb_v1", "0 %"):
        assert shown in text


def test_overview_shows_what_each_machine_does(client: Client, media: MediaJobs, dead: str) -> None:
    """Those that work now, and those that have worked and are idle."""
    text = client.get("/").text
    assert re.search(r"<b>worker-1</b>\s*<span[^>]*>1 attempt ended in 24h, idle now<", text)
    media.history.jobs.enqueue([a_new_job(subject_id="upload-2")])
    dispatch = media.history.leases.assign("upload_thumb_v1", limit=1, lease_s=60)
    assert dispatch
    assert media.history.leases.claim(dispatch.id, run_id="run-2", host="worker-2", lease_s=60)
    text = client.get("/").text
    assert re.search(r"<b>worker-2</b>\s*<span[^>]*>(0|no) attempts ended in 24h<", text)
    assert text.index("worker-2") < text.index("worker-1")


def test_a_schedule_is_run_by_hand(client: Client, media: MediaJobs) -> None:
    """Then the page of its job; it says of what is skipped why."""
    text = client.get("/schedules", PAGE).text
    assert "history_cleanup" in text
    answer = post(client, "/schedules/history_cleanup/run")
    (job,) = media.jobs()
    assert (answer.status, answer.headers["location"]) == (303, f"/jobs/{job.id}")
    skipped = an_attempt(
        job_name="history_cleanup", status=AttemptStatus.SKIPPED, error_code="X", error="The quota is used up."
    )
    media.history.attempts.record(skipped)
    assert "The quota is used up." in client.get("/schedules", PAGE).text
    assert post(client, "/schedules/upload_thumb_v1/run").status == 422


def test_rows_cost_the_same_number_of_queries(
    media: MediaJobs, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are."""

    def queries(count: int) -> int:
        media.history.jobs.enqueue([a_new_job() for _ in range(count)])
        seen = 0
        database = media.history.jobs._database  # pyright: ignore[reportPrivateUsage]
        read: Callable[..., object] = database.read

        def counting(*arguments: object, **options: object) -> object:
            nonlocal seen
            seen += 1
            return read(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(type(database), "read", lambda _self, *args, **kw: counting(*args, **kw))
            assert client.get("/jobs", PAGE).status == 200
        return seen

    assert queries(1) == queries(40)


def test_capacity_is_reckoned_from_what_was_done(client: Client, media: MediaJobs) -> None:
    """Machines, their cost where a price is set, and what is missing; the plan is in the address."""
    assert "No attempt has ended" in client.get("/capacity", PAGE).text
    for number, machine in enumerate(("c7i.large", "m7g.large\x1b[31m")):
        media.history.attempts.record(
            an_attempt(
                job_name="upload_edit_proxy_v1",
                instance_type=machine,
                width=1280,
                height=720,
                media_seconds=1800.0,
                duration_ms=3_600_000,
                created_at=utc_now() - timedelta(hours=30 + number),
            )
        )
    shown = client.get("/capacity?growth=20&days=7&load=1", PAGE).text
    for words in ("the next 7 days", "720p", "2 h 00 min", "No price is set for c7i.large", "busiest hour"):
        assert words in shown
    assert "\x1b" not in shown
    for asked in ("growth=much", "load=0", "days=nan", "growth=1e999"):
        assert client.get(f"/capacity?{asked}", PAGE).status == 422
