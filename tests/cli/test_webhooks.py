"""`mediajobs webhooks`, and `--callback` where jobs are asked for."""

from __future__ import annotations

from tests.cli.conftest import Call
from tests.clips import Clips
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
