"""Puts files of the zoo through every job type and an export, and judges what came of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.job_types.video_export import VideoExport
from mediajobs_dagster.job_types.video_export.encoding import ExportParams, Profile
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.timelines.model import VERSION
from tests.platform import Platform
from tests.zoo.judging import Fault, best, judge_envelope, judge_export, judge_proxy, judge_thumbnail
from tests.zoo.making import Maker
from tests.zoo.truth import NOT_ASKED, Case, Job, Truth

JOB_OF: dict[str, Job] = {
    Thumbnail.name: "thumbnail",
    EditProxy.name: "proxy",
    AudioEnvelope.name: "envelope",
    VideoExport.name: "export",
}
_OF_UPLOADS = {Thumbnail.name, EditProxy.name, AudioEnvelope.name}
_DONE = "done"
SETTINGS: dict[str, Any] = {
    "retry_base_s": 0.0,
    "scratch_reserve_mb": 1,
    "stall_timeout_s": 30.0,
    "breaker_failures": 10_000,
    "max_attempts": 1,
}
"""The settings of a trial's platform: who hangs is stopped soon, and the others go on."""


@dataclass(frozen=True)
class Verdict:
    """What is wrong with one job on one file; nothing, if there are no faults."""

    file: str
    job: Job
    faults: tuple[Fault, ...]

    @property
    def aspects(self) -> frozenset[str]:
        """What is wrong, in a word each."""
        return frozenset(fault.aspect for fault in self.faults)


@dataclass(frozen=True)
class Trial:
    """A trial on one platform."""

    platform: Platform
    maker: Maker
    tools: Tools

    def take(self, cases: Iterable[Case]) -> Iterator[Verdict]:
        """Make the files, do the jobs, and judge each. A batch of files is made at once."""
        asked: dict[str, _Asked] = {}
        for case in cases:
            path, truth = self.maker.file(case)
            yield from self._ask(case.name, path, truth, asked)
        while outcomes := self.platform.work():
            for outcome in outcomes:
                if each := asked.pop(outcome.job.id, None):
                    yield self._judged(each, outcome)
        for each in asked.values():
            yield Verdict(each.file, each.job, (Fault("error", "an attempt that ended", "none"),))

    def _ask(self, name: str, path: Path, truth: Truth, asked: dict[str, _Asked]) -> Iterator[Verdict]:
        try:
            added = self.platform.media.add(path, types=sorted(_OF_UPLOADS))
        except MediaJobsError as error:
            for job in JOB_OF.values():
                yield Verdict(name, job, tuple(_errors(truth, job, error.code, error.message)))
            return
        for job in added.jobs:
            asked[job.id] = _Asked(name, JOB_OF[job.job_type], truth)
        for missing in _OF_UPLOADS - {job.job_type for job in added.jobs}:
            yield Verdict(name, JOB_OF[missing], tuple(_errors(truth, JOB_OF[missing], NOT_ASKED)))
        document = _timeline(name, truth)
        try:
            requested = self.platform.media.export(document, params=ExportParams(profile=Profile.DRAFT))
        except MediaJobsError as error:
            yield Verdict(name, "export", tuple(_errors(truth, "export", error.code, error.message)))
        else:
            asked[requested.job.id] = _Asked(name, "export", truth)

    def _judged(self, asked: _Asked, outcome: AttemptEnded) -> Verdict:
        truth, job = asked.truth, asked.job
        if outcome.error or job in truth.refused:
            found, said = (outcome.error.code, outcome.error.message) if outcome.error else (_DONE, "")
            return Verdict(asked.file, job, tuple(_errors(truth, job, found, said)))
        (output,) = outcome.manifest.outputs
        path = self.platform.output(output.key)
        return Verdict(asked.file, job, tuple(best(truth, lambda begun: self._faults(job, path, begun, truth))))

    def _faults(self, job: Job, path: Path, truth: Truth, asked: Truth) -> Iterator[Fault]:
        match job:
            case "thumbnail":
                return judge_thumbnail(path, truth)
            case "proxy":
                return judge_proxy(path, truth, self.tools)
            case "envelope":
                return judge_envelope(path, truth)
            case "export":
                return judge_export(path, truth, self.tools, _middle(asked) if asked.picture else None)


@dataclass(frozen=True)
class _Asked:
    file: str
    job: Job
    truth: Truth


def _errors(truth: Truth, job: Job, found: str, said: str = "") -> Iterator[Fault]:
    expected = truth.refused.get(job, _DONE)
    if expected != found:
        yield Fault("error", expected, f"{found}: {said}" if said else found)


def _middle(truth: Truth) -> tuple[float, float]:
    """A part from the middle of a file; its edges are multiples of 0.04 s."""
    start, end = int(truth.length * 10) / 25, int(truth.length * 16) / 25
    return start, max(end, start + 0.04)


def _timeline(name: str, truth: Truth) -> dict[str, Any]:
    if truth.picture is None:
        canvas = {"width": 64, "height": 64, "fps": 25}
        track: list[dict[str, Any]] = [{"kind": "gap", "duration": truth.length}]
        return {"version": VERSION, "canvas": canvas, "track": track, "narration": [{"source": name}], "loudness": None}
    start, end = _middle(truth)
    track = [{"kind": "clip", "source": name, "in": start, "out": end}, {"kind": "clip", "source": name}]
    return {"version": VERSION, "track": track, "loudness": None}
