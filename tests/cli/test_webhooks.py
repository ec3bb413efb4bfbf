"""`mediajobs webhooks`, and `--callback` where jobs are asked for."""

from __future__ import annotations

from tests.cli.conftest import Call
from tests.clips import Clips
from tests.platform import Platform
from tests.webhooks.receiver import SECRET, receiving

ALLOWED = {"webhook_secret": SECRET, "private_addresses": "127.0.0.0/8"}
THUMB = ("--type", "upload_thumb_v1")


def test_a_callback_is_told_and_its_deliveries_are_listed_shown_and_sent(mediajobs: Call, clips: Clips) -> None:
    """Exit code 1 where one did not arrive."""
    assert mediajobs("webhooks", "list").out == "There is no delivery.\n"
    with receiving(500, 204) as receiver:
        added = mediajobs("add", clips.short(), *THUMB, "--callback", receiver.url, "--json", **ALLOWED)
        assert added.code == 0
        sent = mediajobs("webhooks", "send", **ALLOWED)
        assert (sent.code, sent.out) == (1, "0 deliveries arrived, 1 did not.\n")
        (delivery,) = mediajobs("webhooks", "list", "--status", "pending", "--json").json
        assert (delivery["event"], delivery["traceId"]) == ("job.queued", added.json["traceId"])
        shown = mediajobs("webhooks", "show", delivery["id"]).out
        assert "job.queued to http://127.0.0.1" in shown
        assert "500" in shown
        again = mediajobs("webhooks", "send", delivery["id"], "--json", **ALLOWED)
        assert (again.code, again.json["status"]) == (0, "delivered")
    assert "delivered" in mediajobs("webhooks", "list").out
    assert mediajobs("webhooks", "list", "--event", "job.dead", "--json").json == []
    missing = mediajobs("webhooks", "show", "nothing", "--json")
    assert (missing.code, missing.json["error"]["code"]) == (2, "NOT_FOUND")


def test_what_is_not_there_has_no_deliveries_and_is_told(mediajobs: Call, clips: Clips) -> None:
    """A mistyped job never looks like one of which nobody wants to know; one can be named as everywhere."""
    added = mediajobs("add", clips.short(), *THUMB, "--json", **ALLOWED).json
    for option, told in (("--job", "There is no job 'nosuch'"), ("--trace", "There is no trace nosuch")):
        answer = mediajobs("webhooks", "list", option, "nosuch", "--json")
        assert (answer.code, answer.json["error"]["code"]) == (2, "NOT_FOUND")
        assert told in answer.json["error"]["message"]
    (job,) = mediajobs("jobs", "list", "--json").json
    assert mediajobs("webhooks", "list", "--job", job["id"]).out == "There is no delivery.\n"
    with receiving(204) as receiver:
        mediajobs("add", clips.short(), *THUMB, "--callback", receiver.url, **ALLOWED)
    named = mediajobs("webhooks", "list", "--job", clips.short().name, "--json").json
    assert [each["jobId"] for each in named] == [job["id"]]
    assert added["traceId"] == job["traceId"]


def test_a_scheduled_job_and_the_demo_are_told_of(mediajobs: Call, clips: Clips, platform: Platform) -> None:
    """Also one that was in the queue before. What is no callback is refused before anything is queued."""
    refused = mediajobs("run", "history_cleanup", "--callback", "nowhere", "--json", **ALLOWED)
    assert (refused.code, refused.json["error"]["code"]) == (2, "CALLBACK_INVALID")
    assert mediajobs("demo", clips.short(), "--callback-event", "job.dead").code == 2
    assert mediajobs("jobs", "list", "--json").json == []
    with receiving(204, 204) as receiver:
        for event in ("job.queued", "job.completed"):
            options = ("--callback", f"{receiver.url}/{event}", "--callback-event", event)
            assert mediajobs("run", "history_cleanup", *options, **ALLOWED).code == 0
        platform.work()
        assert mediajobs("webhooks", "send", **ALLOWED).code == 0
    assert sorted(receiver.types) == ["job.completed", "job.queued"]


def test_a_test_says_whether_it_arrived(mediajobs: Call) -> None:
    """Signed as all are; exit code 1 where it did not."""
    with receiving(204, 401) as receiver:
        good = mediajobs("webhooks", "test", receiver.url, **ALLOWED)
        bad = mediajobs("webhooks", "test", receiver.url, "--json", **ALLOWED)
    assert good.code == 0
    assert good.out.startswith("It arrived: 204, after ")
    assert (bad.code, bad.json["arrived"], bad.json["status"]) == (1, False, 401)
    assert receiver.got[0].is_signed_with(SECRET)
    assert receiver.types == ["test", "test"]


def test_what_is_no_callback_is_refused_before_anything_is_added(mediajobs: Call, clips: Clips) -> None:
    """With a code; also where there is no secret."""
    for options, settings in (
        (("--callback", "nowhere"), ALLOWED),
        (("--callback", "https://receiver.example/"), {}),
        (("--callback-event", "job.dead"), ALLOWED),
    ):
        refused = mediajobs("add", clips.short(), *THUMB, *options, "--json", **settings)
        assert refused.code == 2
        assert refused.json["error"]["code"] in ("CALLBACK_INVALID", "REQUEST_INVALID")
    assert mediajobs("uploads", "list", "--json").json == []


def test_work_tells_everything_before_it_ends(mediajobs: Call, clips: Clips) -> None:
    """Nothing need be up for that."""
    with receiving() as receiver:
        mediajobs("add", clips.short(), *THUMB, "--callback", receiver.url, **ALLOWED)
        assert mediajobs("work", **ALLOWED).code == 0
        assert receiver.types[0] == "job.queued"
        assert receiver.types[-2:] == ["job.completed", "trace.finished"]
