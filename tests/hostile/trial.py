"""Puts hostile files through everything that reads media, and keeps count of what came of it."""

from __future__ import annotations

import re
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.errors import Blame, InputUnprocessableError, MediaJobsError
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.job_types.transcript import TranscriptJob
from mediajobs_dagster.job_types.video_export import VideoExport
from mediajobs_dagster.models import Job, JobStatus, Timeline, Upload, new_id, new_trace_id, utc_now
from mediajobs_dagster.timelines.model import VERSION
from tests.platform import Platform

LIMITS: dict[str, Any] = {
    "base_timeout_s": 15.0,
    "stall_timeout_s": 5.0,
    "retry_base_s": 0.0,
    "scratch_reserve_mb": 1,
    "scratch_idle_mb": 0,
}
"""The settings of a trial. Memory is limited as it always is, and by what the caller's process may have."""

UPLOAD_TYPES = (Thumbnail.name, EditProxy.name, AudioEnvelope.name, TranscriptJob.name)
_IMAGES = (".png", ".jpeg", ".webp", ".bmp", ".tiff")
_SOUNDS = (".wav", ".w64", ".aiff", ".caf", ".au", ".mp3", ".flac", ".ogg", ".aac", ".m4a")
_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+")
_FILE_S = 400.0
"""The longest that one file may take in all, seconds."""


@dataclass
class Tally:
    """What came of the files."""

    files: int = 0
    attempts: int = 0
    codes: Counter[str] = field(default_factory=Counter[str])
    """Attempts by their code: `ok`, or that of the error."""
    added: Counter[str] = field(default_factory=Counter[str])
    """Files by what adding their folder made of them: `ok`, or the code of the error."""
    unexplained: Counter[str] = field(default_factory=Counter[str])
    """Attempts that evidence alone explains, by what ffmpeg said, without its numbers."""
    system_blamed: list[str] = field(default_factory=list[str])
    """What was blamed on the system or a service, in words: the file, the job type, the error."""
    unfinished: list[str] = field(default_factory=list[str])
    """Jobs that never ended."""
    longest_s: float = 0.0
    longest_file: str = ""
    good_jobs: int = 0
    longest_wait_s: float = 0.0
    """Of a good job, from its request to its start."""
    child_mb: float = 0.0
    """Peak resident memory of the largest ffmpeg or ffprobe, MiB."""

    @property
    def is_good(self) -> bool:
        """Whether nothing was blamed on the system, and everything ended."""
        return not self.system_blamed and not self.unfinished

    def lines(self) -> Iterable[str]:
        """The report."""
        yield f"{self.files} files, {self.attempts} attempts at jobs on them"
        yield from (f"  {count:6d}  {code}" for code, count in self.codes.most_common())
        if self.unexplained:
            yield "INPUT_UNPROCESSABLE, by what ffmpeg said:"
            yield from (f"  {count:6d}  {said}" for said, count in self.unexplained.most_common())
        if self.added:
            yield "Added as a folder:"
            yield from (f"  {count:6d}  {code}" for code, count in self.added.most_common())
        yield f"Blamed on the system: {len(self.system_blamed)}"
        yield from (f"  {each}" for each in self.system_blamed)
        yield from (f"  Never ended: {each}" for each in self.unfinished)
        own, children = (_peak_mb(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        yield f"Peak memory: {max(children, self.child_mb):.0f} MiB in a child, {own:.0f} MiB in this process"
        yield f"Longest file: {self.longest_s:.1f} s ({self.longest_file})"
        yield f"Longest wait of {self.good_jobs} good jobs behind them: {self.longest_wait_s:.1f} s"


def _peak_mb(who: int) -> float:
    # KiB on Linux, bytes on macOS.
    return resource.getrusage(who).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


@dataclass
class Trial:
    """One trial of many files on one platform, which has the settings `LIMITS`."""

    platform: Platform
    good: Path
    """A clip that everything works on."""
    tally: Tally = field(default_factory=Tally)

    def take(self, path: Path) -> None:
        """Add one file, make every upload job of it and an export that uses it, and a good job behind them."""
        start = time.monotonic()
        with _ended_after(_FILE_S):
            try:
                [added] = self.platform.media.add(path, types=UPLOAD_TYPES).uploads
            except MediaJobsError as error:
                self._count(path.name, "add", error)
            else:
                self._ask_for_export(path, added.upload)
            self._work(path.name, self._ask_for_good())
        passed = time.monotonic() - start
        self.tally.files += 1
        if passed > self.tally.longest_s:
            self.tally.longest_s, self.tally.longest_file = passed, path.name

    def take_folder(self, folder: Path, good: Iterable[Path]) -> None:
        """Add a whole folder at once: all good files in it are added, and no other keeps them from it."""
        names = {path.name for path in good}
        try:
            added = self.platform.media.add(folder, types=(), keep=True)
        except MediaJobsError as error:
            self.tally.system_blamed.append(f"{folder.name}: add: {error.code}: {error.message}")
            return
        self.tally.added["ok"] += len(added.uploads)
        self.tally.added.update(skipped.code for skipped in added.skipped)
        self.tally.system_blamed += [
            f"{skipped.location}: add: {skipped.code}: {skipped.reason}"
            for skipped in added.skipped
            if skipped.code not in _CODES_OF_INPUT
        ]
        missing = names - {each.upload.filename for each in added.uploads}
        self.tally.system_blamed += [f"{name}: a good file was not added" for name in sorted(missing)]

    def _ask_for_export(self, path: Path, upload: Upload) -> None:
        # Put into the queue past the checks of a request: those would refuse most of these files before any attempt.
        document = _timeline_of(path, upload)
        timeline = Timeline(
            id=new_id(), document=document, etag=new_id(), created_at=utc_now(), trace_id=new_trace_id()
        )
        stored = self.platform.history.timelines.add(timeline)
        wanted = self.platform.registry[VideoExport.name].request(stored, trace_id=timeline.trace_id)
        self.platform.history.jobs.enqueue([wanted])

    def _ask_for_good(self) -> set[str]:
        name = UPLOAD_TYPES[self.tally.files % len(UPLOAD_TYPES)]
        added = self.platform.media.add(self.good, types=[name], force=True)
        return {job.id for job in added.jobs}

    def _work(self, name: str, good: set[str]) -> None:
        started: set[str] = set()
        while outcomes := self.platform.work():
            for outcome in outcomes:
                if outcome.job.id in good:
                    started.add(outcome.job.id)
                    self._count_good(outcome)
                else:
                    self._count_attempt(name, outcome)
        self.tally.unfinished += [f"a good job behind {name}" for _ in good - started]
        self.tally.unfinished += [f"{name}: {job.job_type}" for job in self._waiting()]

    def _waiting(self) -> list[Job]:
        unfinished = tuple(status for status in JobStatus if not status.is_final)
        return self.platform.history.jobs.list(JobFilter(statuses=unfinished))

    def _count_good(self, outcome: AttemptEnded) -> None:
        self.tally.good_jobs += 1
        self.tally.longest_wait_s = max(self.tally.longest_wait_s, outcome.manifest.queue_ms / 1000)
        if outcome.error:
            self.tally.system_blamed.append(f"a good job failed: {outcome.error.code}: {outcome.error.message}")

    def _count_attempt(self, name: str, outcome: AttemptEnded) -> None:
        tally = self.tally
        tally.attempts += 1
        peaks = [command.max_rss_mb or 0.0 for command in outcome.manifest.ffmpeg_commands]
        tally.child_mb = max([tally.child_mb, *peaks])
        if outcome.error:
            self._count(name, outcome.job.job_type, outcome.error)
        else:
            tally.codes["ok"] += 1

    def _count(self, name: str, where: str, error: MediaJobsError) -> None:
        self.tally.codes[error.code] += 1
        if isinstance(error, InputUnprocessableError):
            self.tally.unexplained[_NUMBERS.sub("#", error.message.partition("(")[2])] += 1
        if error.blame is not Blame.INPUT:
            self.tally.system_blamed.append(f"{name}: {where}: {error.code}: {error.message}")


def _codes_of(blame: Blame, kind: type[MediaJobsError]) -> set[str]:
    below = (_codes_of(blame, child) for child in kind.__subclasses__())
    return set[str]().union([kind.code] if kind.blame is blame else [], *below)


_CODES_OF_INPUT = _codes_of(Blame.INPUT, MediaJobsError)


def _timeline_of(path: Path, upload: Upload) -> dict[str, Any]:
    canvas = {"width": 64, "height": 64, "fps": 25}
    if path.suffix in _SOUNDS:
        music = [{"source": upload.id, "mode": "duck"}]
        return {"version": VERSION, "canvas": canvas, "track": [{"kind": "gap", "duration": 1}], "music": music}
    kind = {"kind": "image", "duration": 1} if path.suffix in _IMAGES else {"kind": "clip"}
    return {"version": VERSION, "canvas": canvas, "track": [{**kind, "source": upload.id}]}


@contextmanager
def _ended_after(seconds: float) -> Generator[None]:
    """Raise TimeoutError in the block if it takes longer, also in code of a library that loops."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"One file took longer than {seconds:g} s.")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
