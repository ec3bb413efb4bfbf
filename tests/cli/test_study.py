"""`mediajobs study`, run as a shell runs it: from files to guides in a folder."""

from __future__ import annotations

from pathlib import Path

from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.models import AttemptStatus, JobStatus
from tests.cli.conftest import Call
from tests.cli.test_demo import finish, start
from tests.clips import Clips
from tests.platform import Platform
from tests.talks import BEES, make_talk


def test_two_talks_of_one_title_have_files_of_their_own(tmp_path: Path, clips: Clips) -> None:
    """All eight are copied, each guide with the words of its own talk."""
    first = make_talk(clips, tmp_path / "one" / "talk.mp4")
    second = make_talk(clips, tmp_path / "two" / "talk.mp4", tuple(each.replace("ees", "ats") for each in BEES))
    out = tmp_path / "notes"
    answer = finish(start(tmp_path / "home", "study", first, second, "--subject", "Nature", "--out", out, "--json"))
    assert answer.code == 0, answer.err
    assert [(each["title"], each["status"], len(each["outputs"])) for each in answer.json["guides"]] == [
        *(("talk.mp4", "completed", 4), ("talk.mp4", "completed", 4)),
    ]
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) == 8
    notes = [path.read_text() for path in (out / "Nature").glob("talk*.md")]
    assert sorted("Bats live" in each for each in notes) == [False, True]
    assert len(list((out / "Nature" / "pdfs").glob("*.pdf"))) == 4


def test_a_talk_that_is_none(mediajobs: Call, tmp_path: Path) -> None:
    """A name that is nothing, and a text that is no media: told in a sentence, without a job."""
    answer = mediajobs("study", "nosuch.mp4")
    assert (answer.code, answer.out) == (2, "")
    assert "There is no nosuch.mp4." in answer.err
    text = tmp_path / "minutes.txt"
    text.write_text("Nobody spoke.")
    (tmp_path / "talks").mkdir()
    text.rename(tmp_path / "talks" / text.name)
    answer = mediajobs("study", tmp_path / "talks")
    assert answer.code == 2
    assert "minutes.txt: The input is not a media file" in answer.err


def test_a_dry_run_asks_for_nothing(mediajobs: Call, clips: Clips, tmp_path: Path) -> None:
    """It tells what would be made of what, to people and to scripts."""
    talk = make_talk(clips, tmp_path / "talk.mp4")
    told = mediajobs("study", talk, "--dry-run", "--json").json
    makes = ["transcript_v1", "study_guide_v1"]
    assert told == {"dryRun": True, "talks": [{"title": str(talk), "makes": makes}], "skipped": []}
    shown = mediajobs("study", talk, "--dry-run", "--wait")
    assert shown.code == 0
    assert "transcript_v1, study_guide_v1" in " ".join(shown.out.split())
    assert "Study guides to be made: 1, up to date: 0. Nothing was changed." in shown.out
    assert mediajobs("jobs", "list", "--json").json == []
    assert mediajobs("uploads", "list", "--json").json == []


def test_what_another_process_makes_is_waited_for(mediajobs: Call, platform: Platform, clips: Clips) -> None:
    """It is no failure that it is not made here; and if that process dies, it is made here after all."""
    talk = make_talk(clips, clips.folder / "bees.mp4")
    assert mediajobs("study", talk).code == 0
    first = platform.media.dispatcher.next("transcript_v1", batch_size=1)
    assert isinstance(first, Dispatch)
    claim = platform.history.leases.claim(first.id, run_id="run", host="another", lease_s=2.0)
    assert claim
    answer = mediajobs("study", talk, "--wait", "--trace", claim.job.trace_id, "--json")
    assert answer.code == 0, answer.err
    assert [each["status"] for each in answer.json["guides"]] == ["completed"]
    assert platform.history.attempts.of_job(claim.job.id)[0].status is AttemptStatus.LOST


def test_the_next_try_of_another_talk_is_not_waited_for(mediajobs: Call, platform: Platform, clips: Clips) -> None:
    """It may come tomorrow; the guide that was asked for is made, and the other one stays in the queue."""
    other = platform.add(clips.landscape(), "upload_thumb_v1")
    job = platform.job(other, "upload_thumb_v1")
    platform.media.dispatcher.next("upload_thumb_v1", batch_size=1)
    claim = platform.history.leases.claim(
        platform.job(other, "upload_thumb_v1").dispatch_id or "", run_id="run", host="another", lease_s=60.0
    )
    assert claim
    ended = {"status": AttemptStatus.FAILURE, "completed_at": platform.history.now(), "duration_ms": 1}
    attempt = claim.attempt.model_copy(update={**ended, "error_code": "SITE_PAUSED"})
    assert platform.history.leases.finish(attempt, job_status=JobStatus.FAILED, pause_s=24 * 3600.0)
    talk = make_talk(clips, clips.folder / "bees.mp4")
    answer = mediajobs("study", talk, "--wait", "--json")
    assert answer.code == 0, answer.err
    assert platform.history.jobs.get(job.id).status is JobStatus.FAILED
