"""A failure that no message explains: evidence decides whether the input or the machine is at fault."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typing_extensions import override

from mediajobs_dagster.attempts.evidence import CONTENT, judged
from mediajobs_dagster.errors import Blame, DiskFullError, FfmpegFailedError, InputUnprocessableError
from mediajobs_dagster.history import AttemptFilter, History
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import AttemptStatus, JobStatus, Upload
from mediajobs_dagster.resilience.breaker import BREAKER_OPEN
from tests.clips import Clips
from tests.history.factories import THUMB, an_attempt, claimed
from tests.platform import Platform

PROXY, ENVELOPE = EditProxy.name, AudioEnvelope.name
OpenPlatform = Callable[..., Platform]

MARK = b"poison"
NEVER_SEEN = 'echo "[error] Something new at 0x$$" >&2; exit 1'
CRASH = "kill -SEGV $$"


class Untried(Thumbnail):
    """A thumbnail that cannot be tried on a test clip."""

    name: ClassVar[str] = "untried_v1"
    asset: ClassVar[str] = "untried"

    @override
    def rehearsal(self, clip: Upload) -> Any:
        return None

    @override
    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        return (f"untried/{subject_id}/thumb.jpg",)


@pytest.fixture
def an_ffmpeg(tools: Tools, tmp_path: Path) -> Callable[..., Path]:
    """The real ffmpeg or ffprobe, with a fault of its own: it does `deed` on inputs with MARK in them, or on all."""

    def write(deed: str, *, all_inputs: bool = False, program: Path = tools.ffmpeg) -> Path:
        is_hit = "true" if all_inputs else f'grep -qa {MARK.decode()} "${{each#file:}}"'
        path = tmp_path / "ffmpeg-with-a-fault"
        path.write_text(
            f'#!/bin/sh\nfor each in "$@"; do case "$each" in file:*) if {is_hit}; then {deed}; fi;; esac; done\n'
            f'exec "{program}" "$@"\n'
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


def poisoned(clips: Clips, tmp_path: Path, number: int = 0) -> Path:
    """A good clip with a further box that holds the mark: each number is another content."""
    text = MARK + str(number).encode()
    path = tmp_path / f"poisoned_{number}.mp4"
    path.write_bytes(clips.landscape().read_bytes() + (8 + len(text)).to_bytes(4) + b"free" + text)
    return path


@pytest.mark.parametrize("job_type", [THUMB, PROXY, ENVELOPE])
@pytest.mark.parametrize(("deed", "code"), [(NEVER_SEEN, "FFMPEG_FAILED"), (CRASH, "FFMPEG_CRASHED")])
def test_what_works_on_a_test_clip_is_the_inputs_fault(
    open_platform: OpenPlatform,
    an_ffmpeg: Callable[..., Path],
    clips: Clips,
    tmp_path: Path,
    job_type: str,
    deed: str,
    code: str,
) -> None:
    """After one attempt the job is dead, and no operator is asked."""
    platform = open_platform(ffmpeg_path=an_ffmpeg(deed))
    upload = platform.add(poisoned(clips, tmp_path), job_type)
    (outcome,) = platform.work()
    assert isinstance(outcome.error, InputUnprocessableError)
    assert "succeeds on a test clip" in outcome.error.message
    assert code in outcome.error.message
    (attempt,) = platform.attempts(upload, job_type)
    assert (attempt.status, attempt.blame) == (AttemptStatus.FAILURE, Blame.INPUT)
    assert platform.job(upload, job_type).status is JobStatus.DEAD
    assert [key.key for key in platform.storage.list("")] == [upload.storage_key]
    assert platform.leftovers() == []
    assert platform.work() == []


@pytest.mark.parametrize("is_input", [True, False])
def test_an_export_is_judged_like_any_other_job(
    open_platform: OpenPlatform, an_ffmpeg: Callable[..., Path], clips: Clips, tmp_path: Path, *, is_input: bool
) -> None:
    """The same edit of a test clip, with the same parameters and checks, works or fails too."""
    platform = open_platform(ffmpeg_path=an_ffmpeg(NEVER_SEEN, all_inputs=not is_input))
    [added] = platform.media.add(poisoned(clips, tmp_path), types=()).uploads
    platform.media.export({"version": "create_video_v1", "track": [{"kind": "clip", "source": added.upload.id}]})
    (outcome,) = platform.work()
    assert outcome.error is not None
    assert outcome.error.code == ("INPUT_UNPROCESSABLE" if is_input else "FFMPEG_FAILED")
    assert platform.leftovers() == []


@pytest.mark.parametrize("is_input", [True, False])
def test_a_folder_names_what_cannot_be_probed_with_the_fault(
    open_platform: OpenPlatform,
    an_ffmpeg: Callable[..., Path],
    clips: Clips,
    tools: Tools,
    tmp_path: Path,
    *,
    is_input: bool,
) -> None:
    """A probe that fails for an unknown reason is tried on a test clip too."""
    platform = open_platform(ffprobe_path=an_ffmpeg(NEVER_SEEN, all_inputs=not is_input, program=tools.ffprobe))
    folder = tmp_path / "folder"
    folder.mkdir()
    poisoned(clips, folder)
    shutil.copy(clips.landscape(), folder)
    added = platform.media.add(folder)
    if is_input:
        assert [each.upload.filename for each in added.uploads] == ["landscape.mp4"]
        assert [each.code for each in added.skipped] == ["INPUT_UNPROCESSABLE"]
    else:
        assert [each.code for each in added.skipped] == ["FFMPEG_FAILED"] * 2


@pytest.mark.parametrize("job_type", [THUMB, PROXY, ENVELOPE])
def test_a_machine_that_fails_on_the_test_clip_too_is_at_fault(
    open_platform: OpenPlatform, an_ffmpeg: Callable[..., Path], clips: Clips, job_type: str
) -> None:
    """However often the same failure comes: no input is condemned by a broken ffmpeg."""
    platform = open_platform(ffmpeg_path=an_ffmpeg(NEVER_SEEN, all_inputs=True))
    upload = platform.add(clips.landscape(), job_type)
    for _ in range(platform.settings.max_attempts):
        (outcome,) = platform.work()
        assert isinstance(outcome.error, FfmpegFailedError)
        assert any("fails on a test clip too" in note for note in outcome.manifest.notes)
    assert {attempt.blame for attempt in platform.attempts(upload, job_type)} == {Blame.SYSTEM}
    assert platform.leftovers() == []


def test_six_bad_files_keep_no_good_one_waiting(
    open_platform: OpenPlatform, an_ffmpeg: Callable[..., Path], clips: Clips, tmp_path: Path
) -> None:
    """Added one by one, before three good clips: the breaker stays closed, and the good ones run in the same pass."""
    platform = open_platform(ffmpeg_path=an_ffmpeg(NEVER_SEEN))
    for number in range(6):
        platform.add(poisoned(clips, tmp_path, number), THUMB)
        platform.work()
    good = [platform.add(path, THUMB) for path in (clips.landscape(), clips.faststart(), clips.no_audio())]
    assert [outcome.status for outcome in platform.work()] == [AttemptStatus.SUCCESS] * 3
    assert {platform.job(upload, THUMB).status for upload in good} == {JobStatus.COMPLETED}
    assert platform.history.attempts.list(AttemptFilter(error_code=BREAKER_OPEN)) == []


def test_without_a_trial_the_second_failure_of_the_same_kind_decides(
    open_platform: OpenPlatform, an_ffmpeg: Callable[..., Path], clips: Clips, tmp_path: Path
) -> None:
    platform = open_platform(
        ffmpeg_path=an_ffmpeg(NEVER_SEEN), registry=Registry.standard().with_types(Untried()), max_attempts=5
    )
    upload = platform.add(poisoned(clips, tmp_path), Untried.name)
    for code, status in (("FFMPEG_FAILED", JobStatus.FAILED), ("INPUT_UNPROCESSABLE", JobStatus.DEAD)):
        platform.work()
        job = platform.job(upload, Untried.name)
        assert (job.error_code, job.status) == (code, status)
    first, second = platform.attempts(upload, Untried.name)
    assert (first.blame, second.blame) == (Blame.SYSTEM, Blame.INPUT)
    assert "failed in the same way before" in (second.error or "")


def test_the_same_failure_on_other_content_decides_nothing(
    open_platform: OpenPlatform, an_ffmpeg: Callable[..., Path], clips: Clips, tmp_path: Path
) -> None:
    """An upload whose object was replaced between two attempts is another input."""
    platform = open_platform(ffmpeg_path=an_ffmpeg(NEVER_SEEN), registry=Registry.standard().with_types(Untried()))
    upload = platform.add(poisoned(clips, tmp_path, 1), Untried.name)
    platform.work()
    platform.storage.put(poisoned(clips, tmp_path, 2), upload.storage_key, content_type="video/mp4")
    (outcome,) = platform.work()
    assert isinstance(outcome.error, FfmpegFailedError)


# --- the rule itself -------------------------------------------------------------------------------------------------


@pytest.fixture
def history(platform: Platform) -> History:
    """An empty history."""
    return platform.history


def never() -> bool:
    """A trial that must not be made."""
    raise AssertionError


def test_only_what_may_be_the_inputs_is_judged(history: History) -> None:
    """A full disk is one, whatever works elsewhere."""
    error = DiskFullError()
    assert judged(error, claimed(history), history, content="a", rehearse=never) is error


def test_a_success_meanwhile_on_this_machine_makes_a_trial_unnecessary(history: History) -> None:
    own, other = claimed(history), claimed(history, subject_id="other")
    success = an_attempt(
        job_id=other.job.id, job_name=THUMB, attempt=2, host=own.attempt.host, completed_at=own.attempt.started_at
    )
    history.attempts.record(success)
    verdict = judged(FfmpegFailedError("It broke."), own, history, content="a", rehearse=never)
    assert isinstance(verdict, InputUnprocessableError)
    assert "It broke." in verdict.message


@pytest.mark.parametrize(
    ("earlier", "is_same"),
    [
        ({}, True),
        ({"error": "It broke at 0xcafe after 31 frames."}, True),
        ({"error": "It broke elsewhere."}, False),
        ({"error_code": "OUTPUT_INVALID"}, False),
        ({"manifest": {"inputSummary": {CONTENT: "b"}}}, False),
        ({"manifest": None}, False),
    ],
)
def test_the_same_failure_is_one_of_the_same_kind_on_the_same_content(
    history: History, earlier: dict[str, Any], *, is_same: bool
) -> None:
    claim = claimed(history)
    values = {
        "job_id": claim.job.id,
        "job_name": THUMB,
        "attempt": 0,
        "status": AttemptStatus.FAILURE,
        "error_code": "FFMPEG_FAILED",
        "error": "It broke at 0xbeef after 7 frames.",
        "manifest": {"inputSummary": {CONTENT: "a"}},
    }
    history.attempts.record(an_attempt(**values | earlier))
    error = FfmpegFailedError("It broke at 0xf00d after 11 frames.")
    verdict = judged(error, claim, history, content="a", rehearse=lambda: None)
    assert isinstance(verdict, InputUnprocessableError) is is_same
    assert judged(error, claim, history, content="a", rehearse=lambda: False) is error


def test_a_later_attempt_of_another_worker_decides_nothing(history: History) -> None:
    """The job was taken away meanwhile; that is no earlier failure. A row without words is none of the same kind."""
    claim = claimed(history)
    known = {
        "job_id": claim.job.id,
        "job_name": THUMB,
        "status": AttemptStatus.FAILURE,
        "error_code": "FFMPEG_FAILED",
        "manifest": {"inputSummary": {CONTENT: "a"}},
    }
    history.attempts.record(an_attempt(**known, attempt=2, error="It broke."))
    history.attempts.record(an_attempt(**known, attempt=0, error=None))
    error = FfmpegFailedError("It broke.")
    assert judged(error, claim, history, content="a", rehearse=lambda: None) is error


def test_a_history_that_cannot_be_asked_hides_no_failure(history: History, tmp_path: Path) -> None:
    """Then nothing that is on record speaks for the machine, and a trial still decides."""
    claim = claimed(history)
    away = History(Database(f"sqlite:///{tmp_path / 'nosuch' / 'history.db'}", timeout_s=1))
    error = FfmpegFailedError("It broke.")
    assert judged(error, claim, away, content="a", rehearse=lambda: None) is error
    assert isinstance(judged(error, claim, away, content="a", rehearse=lambda: True), InputUnprocessableError)
