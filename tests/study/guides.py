"""A platform on which study guides are made of transcripts that tests give."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.job_types.base import JobType, Lane, Params
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Output, Plan
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.study_guide import StudyGuide
from mediajobs_dagster.models import SubjectKind, Upload, new_trace_id
from mediajobs_dagster.transcripts.model import Transcript
from tests.platform import Platform


class GivenParams(Params):
    """The transcript that is published."""

    document: str


class GivenTranscript(JobType):
    """Publishes what it is given, under the name of the job type that makes transcripts."""

    name: ClassVar[str] = "transcript_v1"
    asset: ClassVar[str] = "transcript"
    lane: ClassVar[Lane] = Lane.LIGHT
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    params: ClassVar[type[Params]] = GivenParams

    def plan(self, material: Material, params: Params) -> Plan:
        assert isinstance(params, GivenParams)
        key = f"transcripts/uploads/{material.subject.id}/transcript.json"
        return Plan(outputs=(Output("transcript.json", key, "application/json", literal=params.document.encode()),))


def registry() -> Registry:
    """Guides, and transcripts that are given."""
    return Registry([StudyGuide(), GivenTranscript()])


@dataclass(frozen=True)
class Guides:
    """Makes guides on a platform, step by step."""

    platform: Platform

    def talk(self, path: Path, transcript: Transcript | str, name: str = "talk.mp4") -> Upload:
        """An upload whose transcript is there."""
        path.write_text(name)
        upload = self.platform.register(path)
        self.transcribe(upload, transcript)
        return upload

    def transcribe(self, upload: Upload, transcript: Transcript | str) -> None:
        """Publish a transcript of an upload, in place of one that is there."""
        document = transcript if isinstance(transcript, str) else json.dumps(transcript.to_json())
        self._enqueue(GivenTranscript(), upload, {"document": document})
        outcome = self.platform.work()[-1]
        assert outcome.error is None, outcome.error

    def enqueue(self, upload: Upload, **params: Any) -> str:
        """Ask for a guide; returns the id of the job."""
        return self._enqueue(StudyGuide(), upload, params)

    def make(self, upload: Upload, *, force: bool = False, **params: Any) -> AttemptEnded:
        """Ask for a guide and make one attempt at it."""
        self._enqueue(StudyGuide(), upload, params, force=force)
        (outcome,) = self.platform.work()
        return outcome

    def _enqueue(self, job_type: JobType, upload: Upload, params: dict[str, Any], *, force: bool = False) -> str:
        wanted = job_type.request(upload, trace_id=new_trace_id(), params=params, anew=True, force=force)
        (enqueued,) = self.platform.history.jobs.enqueue([wanted])
        return enqueued.job.id
