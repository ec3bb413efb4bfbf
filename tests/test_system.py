"""The root: what it opens and when, and the use cases as a program of one's own calls them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import mediajobs_dagster
from mediajobs_dagster import (
    AttemptFilter,
    ExportParams,
    JobFilter,
    MediaJobs,
    NotFoundError,
    RequestError,
    SettingsError,
    TimelineError,
)
from mediajobs_dagster.attempts.once import Once
from mediajobs_dagster.history import Registered
from mediajobs_dagster.intake.adding import Added, AddingListener
from mediajobs_dagster.intake.candidates import Candidate
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import AttemptStatus, JobStatus
from mediajobs_dagster.resilience.held import HeldBy
from tests.clips import Clips
from tests.history.factories import a_new_job, some_new_jobs
from tests.intake.folders import fill
from tests.platform import Platform, usual

THUMB = Thumbnail.name


def run(code: str, folder: Path) -> str:
    """What a fresh interpreter in that folder prints, the settings of the environment left out."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDIAJOBS_")}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture(autouse=True)
def fresh_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the shell's reaches these tests."""
    for name in [name for name in os.environ if name.startswith("MEDIAJOBS_")]:
        monkeypatch.delenv(name)


# --- what is imported and opened -------------------------------------------------------------------------------------


def test_the_package_alone_imports_nothing(tmp_path: Path) -> None:
    """Every command and every worker imports it first, so it must cost nothing."""
    code = "import sys; before = set(sys.modules); import mediajobs_dagster; print(*set(sys.modules) - before)"
    extra = {name for name in run(code, tmp_path).split() if name.partition(".")[0] not in sys.stdlib_module_names}
    assert extra == {"mediajobs_dagster"}


def test_the_root_does_not_import_dagster(tmp_path: Path) -> None:
    """To list jobs, nobody waits a second for it."""
    code = "import sys; from mediajobs_dagster import MediaJobs; MediaJobs.open().jobs(); print(*sys.modules)"
    modules = run(code, tmp_path).split()
    assert "mediajobs_dagster.system" in modules
    assert not {"dagster", "boto3", "PIL", "numpy"} & set(modules)


def test_loading_the_definitions_opens_nothing(tmp_path: Path) -> None:
    """No database, no folder, no file: Dagster loads them wherever it pleases."""
    code = "from mediajobs_dagster.definitions import defs; defs.get_repository_def().load_all_definitions()"
    run(code, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_public_name_is_there() -> None:
    """What `__all__` promises can be imported, and its type is the one that type checkers see."""
    for name in mediajobs_dagster.__all__:
        assert getattr(mediajobs_dagster, name).__name__ == name
    assert sorted(mediajobs_dagster.__all__) == sorted(mediajobs_dagster._MODULE_OF)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = mediajobs_dagster.Nonsense  # type: ignore[attr-defined]


def test_settings_win_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are given to `open`; one that cannot be used is named at once."""
    monkeypatch.setenv("MEDIAJOBS_LEASE_S", "7")
    monkeypatch.setenv("MEDIAJOBS_MAX_ATTEMPTS", "7")
    settings = MediaJobs.open(home=tmp_path, max_attempts=2).settings
    assert (settings.home, settings.lease_s, settings.max_attempts) == (tmp_path, 7.0, 2)
    with pytest.raises(SettingsError, match="MEDIAJOBS_LEASE_S"):
        MediaJobs.open(lease_s="soon")


def test_parts_are_opened_once_and_shared(platform: Platform) -> None:
    """The worker of a run has the history and the storage of the root, not its own."""
    media = platform.media
    assert media.history is media.history
    with media.worker() as worker:
        assert worker.history is media.history
        assert worker.storage is media.storage
        assert worker.scratch is worker.scratch
        assert worker.runner_for(media.registry[THUMB]) is worker.runner_for(media.registry[THUMB])
    assert platform.leftovers() == []  # its scratch folder went with it


FORK = """
import os
from mediajobs_dagster import MediaJobs

media = MediaJobs.open()
history, storage = media.history, media.storage
child = os.fork()
if child == 0:
    assert media.history is not history and media.storage is not storage
    assert media.jobs() == []
    media.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert media.history is history and media.storage is storage
print(media.jobs())
"""


def test_a_forked_process_opens_its_own(tmp_path: Path) -> None:
    """A connection that two processes use answers one of them with what the other asked."""
    assert run(FORK, tmp_path) == "[]\n"


def test_a_closed_root_opens_again(platform: Platform) -> None:
    """Closing gives the connections back; whoever asks afterwards gets new ones."""
    before = platform.history
    platform.media.close()
    assert platform.media.jobs() == []
    assert platform.history is not before


def test_a_part_is_made_by_one_of_many_threads() -> None:
    """However many ask at once; and after a failure the next one tries again."""
    together, makings = threading.Barrier(8), list[int]()

    def make() -> int:
        makings.append(len(makings))
        if len(makings) == 1:
            raise RequestError("not yet")
        return makings[-1]

    once = Once(make)
    with pytest.raises(RequestError):
        once.get()
    found: list[int] = []

    def ask() -> None:
        together.wait()
        found.append(once.get())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, makings) == ([1] * 8, [0, 1])


# --- the use cases ---------------------------------------------------------------------------------------------------


class Progress(AddingListener):
    """Remembers what an intake told."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.bytes = 0
        self.so_far: list[Added] = []

    def found(self, candidate: Candidate) -> None:
        self.files.append(candidate.filename)

    def moved(self, size: int) -> None:
        self.bytes += size

    def stopped(self, so_far: Added) -> None:
        self.so_far.append(so_far)


def test_add_counts_what_it_does(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """New, known and skipped files, their jobs, and the trace; the listener is told of bytes as they move."""
    media, folder = platform.media, fill(tmp_path / "footage", clips.short(), 3)
    (folder / "notes.txt").write_text("notes")
    first = media.add(folder / "clip0000.mp4", types=[THUMB])
    assert (first.is_single, first.uploads[0].created, [job.job_type for job in first.jobs]) == (True, True, [THUMB])

    listener = Progress()
    added = media.add(folder, types=[THUMB], priority=3, listener=listener)
    counts = added.counts
    assert (counts.found, counts.uploads, counts.known, counts.with_jobs, counts.jobs) == (4, 3, 1, 3, 2)
    assert [skipped.code for skipped in added.skipped] == ["INPUT_NOT_MEDIA"]
    assert sorted(listener.files) == ["clip0000.mp4", "clip0001.mp4", "clip0002.mp4", "notes.txt"]
    assert listener.bytes == sum(each.upload.bytes for each in added.uploads if each.created)
    assert {job.id for job in media.jobs(JobFilter(trace_id=added.trace_id))} == {
        entry.job.id for each in added.uploads for entry in each.jobs if entry.created
    }
    assert media.add(folder, types=[THUMB], keep=False).uploads == ()


def test_add_without_types_only_registers(platform: Platform, clips: Clips) -> None:
    """No types are no jobs; types that are not named are all."""
    assert platform.media.add(clips.short(), types=()).jobs == ()
    all_of_them = platform.media.add(clips.short()).jobs
    assert {job.job_type for job in all_of_them} == {each.name for each in usual(platform.registry)}
    with pytest.raises(RequestError, match="mediajobs export"):
        platform.media.add(clips.short(), types=["create_video_export_v1"])


def test_inspect_touches_nothing(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """What is known, and what would be skipped."""
    media, folder = platform.media, fill(tmp_path / "footage", clips.short(), 2)
    media.add(folder / "clip0001.mp4", types=[THUMB])
    (folder / "notes.txt").write_text("notes")
    inspection = media.inspect(folder)
    assert [(each.candidate.filename, each.known) for each in inspection.files] == [
        ("clip0000.mp4", False),
        ("clip0001.mp4", True),
    ]
    assert [skipped.code for skipped in inspection.skipped] == ["INPUT_NOT_MEDIA"]
    assert len(media.jobs()) == 1


def test_an_interrupted_addition_tells_how_far_it_came(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """What was registered by then stays, and the listener knows of how many files that is."""
    folder = fill(tmp_path / "footage", clips.short(), 3)
    platform.media.add(folder / "clip0000.mp4", types=[THUMB])

    class Interrupts(Progress):
        """Interrupts once something is registered."""

        def registered(self, found: Sequence[Registered], *, known: bool) -> None:
            raise KeyboardInterrupt

    listener = Interrupts()
    with pytest.raises(KeyboardInterrupt):
        platform.media.add(folder, types=[THUMB], trace_id="a" * 32, listener=listener)
    (so_far,) = listener.so_far
    assert (so_far.counts.found, so_far.counts.uploads, so_far.trace_id) == (3, 1, "a" * 32)


def test_the_way_of_a_job(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """Added, worked off, looked at, tried again, cancelled; each answer is a value with a JSON form."""
    media = platform.media
    (job,) = media.add(clips.landscape(), types=[THUMB]).jobs
    platform.work()
    details = media.job(job.id)
    assert (details.job.status, len(details.attempts), details.children) == (JobStatus.COMPLETED, 1, ())
    found = media.attempt(job.id)
    assert found == media.attempt(details.attempts[0].id) == media.attempt(clips.landscape().name)
    assert found.manifest
    assert found.manifest.job_id == job.id
    assert (found.name, found.is_replaced) == (clips.landscape().name, False)
    assert [Path(output).is_file() for output in found.outputs] == [True]

    assert media.retry(job.id, force=True).status is JobStatus.QUEUED
    assert media.cancel(job.id).status is JobStatus.CANCELLED
    with pytest.raises(NotFoundError):
        media.job("nope")
    with pytest.raises(NotFoundError):
        media.attempt("nope")

    (result,) = media.trace(job.trace_id).jobs
    assert (result.subject, result.is_completed) == (clips.landscape().name, False)
    assert [Path(output).name for output in result.outputs] == ["thumb.jpg"]
    assert Path(result.outputs[0]).is_file()


def test_attempts_as_data(platform: Platform, clips: Clips) -> None:
    """Statistics, values and files follow the same filter."""
    media = platform.media
    media.add(clips.landscape(), types=[THUMB])
    media.add(clips.text_named_mp4(), types=[THUMB])
    platform.work()
    failed = AttemptFilter(statuses=(AttemptStatus.FAILURE,))
    assert (media.statistics().attempts, media.statistics(failed).attempts) == (2, 1)
    assert [attempt.manifest is not None for attempt in media.attempts(with_manifest=True)] == [True, True]
    out = io.StringIO()
    assert media.export_history(out, "jsonl", failed) == 1
    assert json.loads(out.getvalue())["errorCode"] == "INPUT_NOT_MEDIA"
    assert list(media.attempt_frame(failed)["error_code"]) == ["INPUT_NOT_MEDIA"]
    assert set(media.stage_frame(failed)["attempt_status"]) == {"failure"}
    assert len(media.job_frame(JobFilter(statuses=(JobStatus.DEAD,)))) == 1


def test_an_export_is_planned_and_asked_for(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """From a document or a file; the same edit twice is the same job, and every fault is listed."""
    media = platform.media
    (added,) = media.add(clips.landscape(), types=()).uploads
    clip = {"kind": "clip", "source": added.upload.id, "in": 0, "out": 1}
    document = {"version": "create_video_v1", "title": "An edit", "track": [clip]}
    (tmp_path / "edit.json").write_text(json.dumps(document))

    prepared = media.prepare_export(tmp_path / "edit.json")
    plan = media.plan_export(prepared, ExportParams())
    assert (plan.commands[-1][0], plan.forecast, media.jobs()) == ("ffmpeg", None, [])
    requested = media.export(prepared)
    again = media.export(document)
    assert (requested.created, again.created, again.job.id) == (True, False, requested.job.id)
    assert requested.job.max_attempts == media.settings.max_attempts
    written = media.write_otio(prepared, tmp_path / "edit.otio")
    assert written.path.is_file()
    with pytest.raises(TimelineError) as refused:
        media.export({**document, "track": [{**clip, "source": "nope"}]})
    assert [fault["path"] for fault in refused.value.faults] == ["$.track[0].source"]


def test_the_doctor_finds_what_is_not_fine(open_platform: Callable[..., Platform]) -> None:
    """A finding says what to do; it is not raised."""

    def tea() -> str:
        raise RequestError("There is no tea. Put the kettle on.")

    found = {each.check: each for each in open_platform(ffmpeg_path="/no/ffmpeg").media.doctor({"tea": tea})}
    assert [check for check, finding in found.items() if not finding.fine] == ["tea", "ffmpeg"]
    assert found["tea"].detail == "REQUEST_INVALID: There is no tea. Put the kettle on."
    assert "FFMPEG_MISSING" in found["ffmpeg"].detail
    assert open_platform().media.check() == found["database"].detail


def test_a_trace_outlives_its_job_types(platform: Platform, clips: Clips) -> None:
    """A job whose type is not installed any more is listed by the name of its subject, as any other."""
    added = platform.media.add(clips.landscape(), types=["upload_thumb_v1"])
    with MediaJobs(platform.settings, Registry(())) as media:
        assert len(media.registry) == 0
        (result,) = media.trace(added.trace_id).jobs
        assert result.subject == clips.landscape().name


def test_what_nobody_can_make_is_told_wherever_somebody_asks(open_platform: Callable[..., Platform]) -> None:
    """A type that is not installed, and one whose needs no worker offers; what can be made is not among them."""
    media = open_platform(offers="none").media
    media.history.jobs.enqueue([*some_new_jobs(2, job_type="gone_v1"), a_new_job(job_type="upload_thumb_v1")])
    assert [(held.job_type, held.by, held.waiting, held.reason) for held in media.held()] == [
        (
            "gone_v1",
            HeldBy.NOT_INSTALLED,
            2,
            "2 gone_v1 jobs wait: no job type of that name is installed here. Install the package that brings it.",
        ),
        (
            "upload_thumb_v1",
            HeldBy.NEEDS,
            1,
            "1 upload_thumb_v1 job waits: no worker here offers ffmpeg. Install it, and name it in MEDIAJOBS_OFFERS.",
        ),
    ]
    assert [held.job_type for held in open_platform().media.held()] == ["gone_v1"]
    elsewhere = open_platform(offers="none", celery_url="redis://localhost:1/0").media
    assert [held.job_type for held in elsewhere.held()] == ["gone_v1"]  # its workers may have it
