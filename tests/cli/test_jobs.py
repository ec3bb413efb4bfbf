"""Seeing, retrying and cancelling jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mediajobs_dagster.history import Action
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from tests.cli.conftest import Call
from tests.clips import Clips
from tests.platform import Platform

THUMB = Thumbnail.name


@pytest.fixture
def video(clips: Clips, tmp_path: Path) -> Path:
    """A video of the user's."""
    path = tmp_path / "my [holiday].mp4"
    path.write_bytes(clips.landscape().read_bytes())
    return path


def test_list_and_its_conditions(mediajobs: Call, video: Path) -> None:
    """Newest first; each condition picks what it says."""
    added = mediajobs("add", video, "--json").json
    ids = [job["id"] for job in added["jobs"]]
    trace, upload = added["jobs"][0]["traceId"], added["uploads"][0]["id"]
    now = datetime.now(UTC)

    def listed(*conditions: object) -> list[str]:
        return [job["id"] for job in mediajobs("jobs", "list", "--json", *conditions).json]

    assert listed() == sorted(ids, reverse=True)
    assert listed("--trace", trace) == listed("--upload", upload) == listed("--status", "queued") == listed()
    assert listed("--status", "queued", "--status", "dead") == listed()
    assert len(listed("--type", THUMB)) == 1
    assert listed("--status", "dead") == listed("--error", "DISK_FULL") == []
    assert mediajobs("jobs", "list", "--trace", "f" * 32).code == 2
    assert listed("--since", (now - timedelta(hours=1)).isoformat()) == listed()
    assert listed("--since", (now + timedelta(hours=1)).isoformat()) == []
    assert listed("--until", "2026-01-01") == []
    first, second = listed("--limit", 1), listed("--limit", 2)[1:]
    assert listed("--limit", 1, "--after", first[0]) == second


def test_list_for_people(mediajobs: Call, video: Path) -> None:
    """A hint where there is nothing, whole ids where there is something, and the way to the next page."""
    assert "mediajobs add" in mediajobs("jobs", "list").out
    job_ids = [job["id"] for job in mediajobs("add", video, "--json").json["jobs"]]
    shown = mediajobs("jobs", "list").out
    assert all(job_id in shown for job_id in job_ids)
    assert f"--after {max(job_ids)}" in mediajobs("jobs", "list", "--limit", 1).out


def test_show_before_and_after_the_attempt(mediajobs: Call, video: Path, platform: Platform) -> None:
    """The job, then its attempt, and which command tells more."""
    added = mediajobs("add", video, "--type", THUMB, "--json").json
    job_id = added["jobs"][0]["id"]
    job = {name: value for name, value in added["jobs"][0].items() if name != "created"}
    assert mediajobs("jobs", "show", job_id, "--json").json == {
        "job": {**job, "subjectName": video.name},
        "attempts": [],
        "children": [],
    }
    assert "0 of 3" in mediajobs("jobs", "show", job_id).out

    platform.work()
    shown = mediajobs("jobs", "show", job_id, "--json").json
    assert shown["job"]["status"] == "completed"
    (attempt,) = shown["attempts"]
    assert (attempt["jobId"], attempt["status"]) == (job_id, "success")
    assert f"mediajobs attempt {attempt['id']}" in mediajobs("jobs", "show", job_id).out


def test_a_failed_job_shows_why(mediajobs: Call, clips: Clips, platform: Platform) -> None:
    """The code and the message, as data and for people; a table can be searched by the code."""
    job_id = mediajobs("add", clips.text_named_mp4(), "--type", THUMB, "--json").json["jobs"][0]["id"]
    platform.work()
    shown = mediajobs("jobs", "show", job_id, "--json").json
    assert (shown["job"]["status"], shown["job"]["errorCode"]) == ("dead", "INPUT_NOT_MEDIA")
    assert "INPUT_NOT_MEDIA" in mediajobs("jobs", "show", job_id).out
    assert [job["id"] for job in mediajobs("jobs", "list", "--json", "--error", "INPUT_NOT_MEDIA").json] == [job_id]


def test_what_each_attempt_failed_by_is_told_once(
    mediajobs: Call, clips: Clips, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it failed by that, and however narrow the terminal is; --verbose leaves nothing out."""
    monkeypatch.setenv("COLUMNS", "80")
    job_id = mediajobs("add", clips.text_named_mp4(), "--type", THUMB, "--json").json["jobs"][0]["id"]
    for _ in range(3):
        platform.work()
        mediajobs("jobs", "retry", job_id)
    message = mediajobs("jobs", "show", job_id, "--json").json["attempts"][0]["error"]
    shown = mediajobs("jobs", "show", job_id).out  # it waits, so that nothing above the table tells it
    assert shown.count(message) == 1
    assert shown.count("INPUT_NOT_MEDIA, as attempt 1") == 2
    assert mediajobs("jobs", "show", job_id, "--verbose").out.count(message) == 3
    platform.work()
    shown = " ".join(mediajobs("jobs", "show", job_id).out.split())
    assert shown.count(message.rstrip(".")) == 1
    assert shown.count("INPUT_NOT_MEDIA, as above") == 4


def test_cancel_then_retry(mediajobs: Call, video: Path, platform: Platform) -> None:
    """A cancelled job is not worked on; retried, it is; what is not legal is refused."""
    job_id = mediajobs("add", video, "--type", THUMB, "--json").json["jobs"][0]["id"]
    assert mediajobs("jobs", "cancel", job_id, "--json").json["status"] == "cancelled"
    assert platform.work() == []
    again = mediajobs("jobs", "cancel", job_id)
    assert (again.code, again.err.startswith("ILLEGAL_TRANSITION: ")) == (2, True)

    assert "queued" in mediajobs("jobs", "retry", job_id).out
    assert len(platform.work()) == 1
    retried = mediajobs("jobs", "retry", job_id, "--force", "--json").json
    assert (retried["status"], retried["force"]) == ("queued", True)


def test_an_attempt_shows_no_figure_that_it_does_not_have(mediajobs: Call, clips: Clips) -> None:
    """Sound has no size of a picture; where no command ran, there is neither CPU nor memory nor a version of ffmpeg."""
    upload = mediajobs("add", clips.audio_only(), "--type", "upload_audio_envelope_v1", "--json").json
    job = upload["jobs"][0]["id"]
    mediajobs("work")
    made = mediajobs("attempt", job).out
    assert "no picture" in made
    assert "None" not in made
    mediajobs("jobs", "retry", job)
    mediajobs("work")
    skipped = mediajobs("attempt", job).out
    assert "skipped" in skipped
    assert "None" not in skipped
    assert "0 %" not in skipped
    assert "MiB at the peak" not in skipped


def test_all_that_failed_are_retried_and_cancelled_at_once(mediajobs: Call, clips: Clips, platform: Platform) -> None:
    """A look first, then the deed, with a reason; who did it is on record. One job or conditions, not both."""
    (job,) = mediajobs("add", clips.text_named_mp4(), "--type", THUMB, "--json").json["jobs"]
    platform.work()
    shown = mediajobs("jobs", "retry", "--failed", "--type", "thumbnail", "--dry-run")
    assert f"1 job would be queued again: 1 {THUMB}." in shown.out
    assert job["id"] in shown.out
    assert mediajobs("jobs", "show", job["id"], "--json").json["job"]["status"] == "dead"

    done = mediajobs(
        "jobs", "retry", "--failed", "--error", "INPUT_NOT_MEDIA", "--reason", "fixed [now]", "--json"
    ).json
    assert (done["count"], done["byType"], done["examples"]) == (1, {THUMB: 1}, [job["id"]])
    assert "1 job cancelled" in mediajobs("jobs", "cancel", "--type", THUMB).out
    assert "No job matches." in mediajobs("jobs", "cancel", "--type", THUMB).out
    listed = mediajobs("actions", "list").out
    assert all(word in listed for word in ("jobs retry", "jobs cancel", "fixed [now]", f"1 {THUMB}"))
    bulk = [each for each in mediajobs("actions", "list", "--json").json if each["action"].startswith("jobs ")]
    assert [each["count"] for each in bulk] == [1, 1]

    for wrong in (["retry"], ["retry", job["id"], "--failed"], ["cancel", "--failed", "--status", "queued"]):
        assert mediajobs("jobs", *wrong).code == 2


def test_why_by_a_file_name_is_about_all_that_is_not_done(mediajobs: Call, clips: Clips, platform: Platform) -> None:
    """Every ordinary video has several jobs. People are told of each; a script has to name one."""
    name = platform.add(clips.text_named_mp4()).filename
    platform.work()
    heads = [line for line in mediajobs("why", name).out.splitlines() if line.startswith(name)]
    assert heads == [f"{name}: {job.job_type} is dead" for job in platform.media.jobs()]
    assert len(heads) > 2
    assert mediajobs("why", name, "--json").json["error"]["code"] == "AMBIGUOUS"


def test_why_by_a_file_name_is_about_the_one_job_that_is_not_done(
    mediajobs: Call, clips: Clips, platform: Platform
) -> None:
    """Where all are done, it is about each. Where one has to be named, those that are not done are listed first."""
    name = platform.add(clips.short()).filename
    platform.work()
    jobs = platform.media.jobs()
    assert mediajobs("why", name).out.count("It is done.") == len(jobs) > 2
    again = platform.media.retry(jobs[-1].id)
    assert mediajobs("why", name).out.startswith(f"{name}: {again.job_type} is queued\n")
    assert mediajobs("why", name, "--json").json["jobId"] == again.id
    _, first, *others = mediajobs("jobs", "show", name).err.splitlines()
    assert first.split("  ")[1:] == [
        *(again.id, again.job_type, "queued", f"{again.created_at:%Y-%m-%d %H:%M:%S} UTC", name)
    ]
    assert [line.split()[0] for line in others] == [job.id for job in jobs[:-1]]


def test_why_a_job_waits_and_why_it_ended(mediajobs: Call, clips: Clips, platform: Platform) -> None:
    """For people, for programs, and with the job itself."""
    (job,) = mediajobs("add", clips.text_named_mp4(), "--type", THUMB, "--json").json["jobs"]
    assert "Nothing is running that would start it. Start `mediajobs up`" in mediajobs("why", job["id"]).out
    platform.work()
    found = mediajobs("why", job["id"], "--json").json
    assert (found["status"], [each["kind"] for each in found["causes"]]) == ("dead", ["failed"])
    assert found["again"].startswith("It will not be tried again: another try cannot mend INPUT_NOT_MEDIA.")
    assert found["forUploader"].startswith("This file is neither a video nor a sound recording.")
    for command in (("why", job["id"]), ("jobs", "show", job["id"])):
        shown = mediajobs(*command).out
        assert "Attempt 1 failed with INPUT_NOT_MEDIA" in shown
        assert "To tell the uploader: This file is neither a video" in shown
    assert mediajobs("why", "nothing").code == 2


def test_a_span_that_ends_before_it_begins_is_refused(mediajobs: Call, platform: Platform) -> None:
    """It could match nothing, which looks like an answer."""
    span = ("--since", "2027-01-01", "--until", "2026-01-01")
    for command in (("jobs", "list"), ("jobs", "retry"), ("events", "list")):
        answer = mediajobs(*command, *span)
        assert (answer.code, "2027-01-01 00:00 (since) is not before" in answer.err) == (2, True), command


def test_a_retry_of_bad_files_is_told_to_be_in_vain(
    mediajobs: Call, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is done, too, with the names of the files. One that is queued already is not queued again."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    upload = platform.add(broken, "upload_thumb_v1")
    platform.work()
    monkeypatch.setenv("COLUMNS", "80")
    for more in (["--dry-run"], []):
        shown = mediajobs("jobs", "retry", "--failed", *more).out
        assert "1 of them will fail again: INPUT_NOT_MEDIA" in shown
        assert ("broken.mp4" in shown) == bool(more)
    job = platform.job(upload, "upload_thumb_v1")
    assert "is queued already" in mediajobs("jobs", "retry", job.id).err
    assert "that are queued, processing, failed" in mediajobs("jobs", "cancel", "--status", "dead").err


def test_what_was_done_is_listed_page_by_page(mediajobs: Call, platform: Platform) -> None:
    """The last line says how to go on."""
    for number in range(3):
        platform.history.actions.record(Action(action="jobs retry", target=f"job {number}", count=1))
    shown = mediajobs("actions", "list", "--limit", 2).out
    *_, last = mediajobs("actions", "list", "--limit", 2, "--json").json
    assert f"--after {last['id']}" in " ".join(shown.split())
    (first,) = mediajobs("actions", "list", "--after", last["id"], "--json").json
    assert first["target"] == "job 0"
    assert mediajobs("actions", "list", "--after", first["id"]).out == "There is no more.\n"
    assert "NOT_FOUND" in mediajobs("actions", "list", "--after", "nosuch").err
