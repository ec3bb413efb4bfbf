"""Adding videos: one, a folder of them, a thousand; interrupted, killed, and begun again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mediajobs_dagster.history import History, JobFilter
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import JobStatus
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.supervisor.exclusive import sole_user_of
from tests.cli.conftest import Call
from tests.clips import Clips
from tests.intake.folders import fill
from tests.platform import Platform

THUMB = Thumbnail.name
PROGRAM = [sys.executable, "-c", "from mediajobs_dagster.cli.main import main; main()"]
START_TIMEOUT_S = 120.0


@pytest.fixture
def video(clips: Clips, tmp_path: Path) -> Path:
    """A video of the user's."""
    path = tmp_path / "my [holiday].mp4"
    path.write_bytes(clips.landscape().read_bytes())
    return path


# --- one file --------------------------------------------------------------------------------------------------------


def test_add_enqueues_one_job_of_each_type(mediajobs: Call, video: Path) -> None:
    """As data: the upload, what it holds, and its jobs, all of one trace."""
    added = mediajobs("add", video, "--json").json
    (upload,) = added["uploads"]
    assert (upload["filename"], upload["created"], upload["traceId"]) == (video.name, True, added["traceId"])
    assert upload["mediaInfo"]["durationSeconds"] == pytest.approx(3, abs=0.1)
    assert {job["jobType"] for job in added["jobs"]} == {
        "upload_thumb_v1",
        "upload_edit_proxy_v1",
        "upload_audio_envelope_v1",
    }
    assert {(job["status"], job["traceId"], job["created"]) for job in added["jobs"]} == {
        ("queued", added["traceId"], True)
    }
    assert added["skipped"] == []


def test_add_again_adds_nothing_unless_forced(mediajobs: Call, video: Path) -> None:
    """The same file is the same upload and the same jobs; --force asks for them anew."""
    first = mediajobs("add", video, "--json").json
    again = mediajobs("add", video, "--json").json
    forced = mediajobs("add", video, "--json", "--force", "--type", THUMB, "--priority", 7).json
    ids = [upload["id"] for answer in (first, again, forced) for upload in answer["uploads"]]
    assert ids == [ids[0]] * 3
    assert again["uploads"][0]["created"] is False
    assert [job["created"] for job in again["jobs"]] == [False] * 3
    assert [job["id"] for job in again["jobs"]] == [job["id"] for job in first["jobs"]]
    (job,) = forced["jobs"]
    assert (job["jobType"], job["priority"], job["force"], job["created"]) == (THUMB, 7, True, True)
    assert "Nothing new was enqueued" in mediajobs("add", video).out


def test_add_says_that_it_stored_content_again(mediajobs: Call, video: Path, tmp_path: Path) -> None:
    """What is gone from the storage; and how to have the jobs made that died of it."""
    added = mediajobs("add", video, "--json").json["uploads"][0]
    assert added["restored"] is False
    source = tmp_path / "home" / "objects" / added["storageKey"]
    source.unlink()
    assert mediajobs("add", video, "--json").json["uploads"][0]["restored"] is True
    source.unlink()
    told = " ".join(mediajobs("add", video).out.split())
    assert "The content of 1 upload was gone from the storage, and is stored again." in told
    assert "mediajobs jobs retry --error STORAGE_MISSING" in told
    assert source.exists()
    assert "stored again" not in mediajobs("add", video).out


def test_add_for_people(mediajobs: Call, video: Path) -> None:
    """A table and what to do next on standard output, and nothing but them."""
    answer = mediajobs("add", video)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("Upload ")
    assert "thumbnail" in answer.out
    assert "mediajobs work" in answer.out


def test_a_single_file_is_registered_whatever_it_is(mediajobs: Call, clips: Clips, platform: Platform) -> None:
    """Its attempt tells what is wrong with it. Without ffmpeg too, though then nothing is known of it yet."""
    assert mediajobs("add", clips.text_named_mp4(), "--type", THUMB).code == 0
    added = mediajobs("add", clips.landscape(), "--type", THUMB, "--json", ffprobe_path="/no/ffprobe")
    assert (added.code, added.json["uploads"][0]["mediaInfo"]) == (0, None)
    errors = [outcome.error and outcome.error.code for outcome in platform.work()]
    assert sorted(map(str, errors)) == ["INPUT_NOT_MEDIA", "None"]


def test_the_trace_of_another_program_is_gone_on_with(mediajobs: Call, video: Path) -> None:
    """The value of a header `traceparent` has the id in it."""
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = mediajobs("add", video, "--trace", parent, "--type", THUMB, "--json")
    assert answer.json["traceId"] == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_what_is_not_there_is_refused(mediajobs: Call, video: Path, tmp_path: Path) -> None:
    """With exit code 2, and nothing of the others is added either."""
    for bad in (tmp_path / "nothing.mp4", "s3://bucket/key.mp4"):
        answer = mediajobs("add", video, bad)
        assert (answer.code, answer.err.split(":")[0]) == (2, "REQUEST_INVALID")
    assert mediajobs("add").code == 2
    for trace in ("0" * 32, "A" * 32, "abc"):
        assert "trace id" in mediajobs("add", video, "--trace", trace).err
    assert mediajobs("jobs", "list", "--json").json == []


# --- a folder --------------------------------------------------------------------------------------------------------


def test_a_folder_is_one_trace(mediajobs: Call, clips: Clips, tmp_path: Path) -> None:
    """All files of one call, whatever their number; the summary counts, and lists what was skipped and why."""
    folder = fill(tmp_path / "footage", clips.short(), 4)
    for number in range(12):
        (folder / f"notes{number:02}.txt").write_text("notes")
    (folder / ".hidden.mp4").touch()
    answer = mediajobs("add", folder, clips.landscape(), "--type", THUMB)
    assert (answer.code, answer.err) == (0, "")
    assert "Uploads added: 5, registered before: 0, skipped: 13. Jobs enqueued: 5." in answer.out
    assert answer.out.count("INPUT_NOT_MEDIA") == 10
    assert "and 3 more, 1 of them hidden" in answer.out
    (trace,) = {job["traceId"] for job in mediajobs("jobs", "list", "--json").json}
    assert f"--trace {trace}" in answer.out

    again = mediajobs("add", folder, "--type", THUMB)
    assert "Uploads added: 0, registered before: 4, skipped: 13. Jobs enqueued: 0." in again.out
    assert "Nothing new was enqueued" in again.out


def test_a_folder_as_data(mediajobs: Call, clips: Clips, tmp_path: Path) -> None:
    """Every upload, every job and every skipped file; the trace can be a given one; patterns choose."""
    folder = fill(tmp_path / "footage", clips.short(), 3)
    bad_name = os.fsdecode(b"bad\xff.txt") if sys.platform == "linux" else "bad.txt"
    (folder / bad_name).write_text("notes")
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = mediajobs("add", folder, "--type", THUMB, "--json", "--trace", trace, "--exclude", "*0.mp4")
    added = answer.json
    assert answer.err == ""
    assert sorted(upload["filename"] for upload in added["uploads"]) == ["clip0001.mp4", "clip0002.mp4"]
    assert {job["traceId"] for job in added["jobs"]} == {added["traceId"]} == {trace}
    (skipped,) = added["skipped"]
    assert (skipped["code"], Path(skipped["location"]).suffix) == ("INPUT_NOT_MEDIA", ".txt")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_folder_without_media_ends_with_1(mediajobs: Call, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Empty, or full of other things."""
    folder = tmp_path / "notes"
    folder.mkdir()
    assert mediajobs("add", folder, *options).code == 1
    (folder / "notes.txt").write_text("notes")
    answer = mediajobs("add", folder, *options)
    assert answer.code == 1
    assert "INPUT_NOT_MEDIA" in answer.out
    assert mediajobs("jobs", "list", "--json").json == []
    without_ffmpeg = mediajobs("add", folder, ffprobe_path="/no/ffprobe")
    assert (without_ffmpeg.code, without_ffmpeg.err.split(":")[0]) == (1, "FFMPEG_MISSING")


def test_a_dry_run_adds_nothing(mediajobs: Call, clips: Clips, tmp_path: Path) -> None:
    """It tells what is new, what is known, and what would be skipped."""
    folder = fill(tmp_path / "footage", clips.landscape(), 3)
    (folder / "notes.txt").write_text("notes")
    mediajobs("add", folder / "clip0000.mp4", "--type", THUMB)
    told = mediajobs("add", folder, "--dry-run", "--json").json
    assert [(Path(each["location"]).name, each["known"]) for each in told["files"]] == [
        ("clip0000.mp4", True),
        ("clip0001.mp4", False),
        ("clip0002.mp4", False),
    ]
    assert [skipped["code"] for skipped in told["skipped"]] == ["INPUT_NOT_MEDIA"]
    shown = mediajobs("add", folder, "--dry-run")
    assert shown.code == 0
    assert "Would be added: 2, registered before: 1." in shown.out
    assert len(mediajobs("jobs", "list", "--json").json) == 1


# --- cut short -------------------------------------------------------------------------------------------------------


def start(home: Path, folder: Path) -> subprocess.Popen[str]:
    """`mediajobs add` of a folder, as a shell starts it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDIAJOBS_")}
    return subprocess.Popen(
        [*PROGRAM, "add", str(folder), "--type", THUMB],
        env=environment | {"MEDIAJOBS_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def sources(home: Path) -> list[Path]:
    """The sources in the storage, and whatever else lies in their folders."""
    return [path for path in (home / "objects").rglob("*") if path.is_file()]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until it holds; fails when the process ends before, or it takes too long."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not condition():
        assert process.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def whole(home: Path, count: int) -> bool:
    """Whether all files are registered, each once and with its job, and nothing else is stored."""
    settings = Settings.load(_env_file=None, home=home)
    with History.open(settings.database_url) as history:
        jobs = history.jobs.list(JobFilter(), limit=1000)
        uploads = {history.uploads.get(job.subject_id) for job in jobs}
    stored = {path.relative_to(home / "objects").as_posix() for path in sources(home)}
    journals = [path for path in (home / "intake").rglob("*") if path.is_file()]
    return (len(jobs), len({upload.origin for upload in uploads}), len(uploads), stored, journals) == (
        count,
        count,
        count,
        {upload.storage_key for upload in uploads},
        [],
    )


def test_an_interrupted_addition_goes_on_where_it_stopped(tmp_path: Path, clips: Clips) -> None:
    """Ctrl-C in the middle: what is stored is registered, nothing else is left, and repeating it adds the rest."""
    home, folder = tmp_path / "home", fill(tmp_path / "footage", clips.short(), 200)
    process = start(home, folder)
    wait_for(lambda: len(sources(home)) >= 3, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    registered = len(sources(home))
    assert 3 <= registered < 200
    assert f"{registered} of 200 files." in " ".join(err.split())
    assert whole(home, registered)

    process = start(home, folder)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert f"Uploads added: {200 - registered}, registered before: {registered}, skipped: 0." in out
    assert whole(home, 200)


def test_a_killed_addition_leaves_nothing_that_the_next_does_not_mend(tmp_path: Path, clips: Clips) -> None:
    """SIGKILL in the middle: objects that nobody knows are removed by the next addition, and it adds the rest."""
    home, folder = tmp_path / "home", fill(tmp_path / "footage", clips.short(), 200)
    process = start(home, folder)
    wait_for(lambda: len(sources(home)) >= 3, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    assert len(sources(home)) < 200

    process = start(home, folder)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, ""), out
    assert whole(home, 200)


def test_while_mediajobs_is_up_it_says_that_the_work_is_being_done(
    mediajobs: Call, clips: Clips, tmp_path: Path
) -> None:
    """And not how one could do it."""
    with sole_user_of(tmp_path / "home", "process 1"):
        shown = mediajobs("add", clips.landscape())
    assert "mediajobs up is running and makes them now." in shown.out
    assert "mediajobs work" not in shown.out
    assert "mediajobs work" in mediajobs("add", clips.no_audio()).out


def test_an_object_that_is_gone_is_stored_again(mediajobs: Call, platform: Platform, clips: Clips) -> None:
    """As the same upload, with jobs that can succeed; until then, no retry queues a job that has to die."""
    (job,) = platform.media.add(clips.landscape(), types=[THUMB]).jobs
    upload = platform.history.uploads.get(job.subject_id)
    platform.work()
    platform.storage.delete(upload.storage_key)
    refused = mediajobs("jobs", "retry", job.id, "--force")
    assert refused.code == 2
    assert "not in the storage any more" in refused.err
    added = mediajobs("add", clips.landscape(), "--type", THUMB, "--json").json
    assert [each["id"] for each in added["uploads"]] == [upload.id]
    assert platform.storage.stat(upload.storage_key).bytes == upload.bytes
    platform.work()
    assert platform.job(upload, THUMB).status is JobStatus.COMPLETED
    assert mediajobs("jobs", "retry", job.id).code == 0
