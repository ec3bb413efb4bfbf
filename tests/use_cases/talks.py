"""Job types that leave what a transcript and a study guide leave, without listening and without a writer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from mediajobs_dagster.errors import MediaJobsError, ServiceError, ServiceRefusedError
from mediajobs_dagster.job_types.base import JobType, Lane, Params
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Call, Output, Plan
from mediajobs_dagster.models import SubjectKind
from mediajobs_dagster.transcripts.model import Method, Sentence, Transcript

SAID = Transcript(
    language="en",
    method=Method.SUBTITLES,
    duration_seconds=930.2,
    sentences=(
        Sentence(text="Machines learn from examples.", start=0.0, end=2.5),
        Sentence(text="Nobody tells them the rule.", start=2.5, end=5.0),
    ),
)
NOTES, ASSESSMENT = "# Notes\n\nMachines learn from examples — né.\n", "# Questions\n"
STAGES = ("fetch_transcript", "generate_notes", "generate_assessment", "write_files", "export_pdfs")
TITLE = "Introduction_to_Machine_Learning"


class Transcribed(JobType):
    """Writes down what is said."""

    name: ClassVar[str] = "transcript_v1"
    asset: ClassVar[str] = "transcript"
    lane: ClassVar[Lane] = Lane.LIGHT
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD

    def plan(self, material: Material, params: Params) -> Plan:
        key = f"transcripts/uploads/{material.subject.id}/transcript.json"
        content = SAID.model_dump_json(by_alias=True).encode()
        return Plan(outputs=(Output("transcript.json", key, "application/json", literal=content),))


class StudiedParams(Params):
    """Parameters of a study guide."""

    subject: str = "AI"
    fails_in: str = ""
    """The stage that fails; empty: none."""
    retryable: bool = False


class Studied(JobType):
    """Writes notes and questions."""

    name: ClassVar[str] = "study_guide_v1"
    asset: ClassVar[str] = "study_guide"
    lane: ClassVar[Lane] = Lane.LIGHT
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    params: ClassVar[type[Params]] = StudiedParams

    def plan(self, material: Material, params: Params) -> Plan:
        assert isinstance(params, StudiedParams)
        folder = f"notes/{params.subject}"
        outputs = (
            Output("notes.md", f"{folder}/{TITLE}.md", "text/markdown"),
            Output("assessment.md", f"{folder}/Assessment_{TITLE}.md", "text/markdown"),
            Output("notes.pdf", f"{folder}/pdfs/{TITLE}.pdf", "application/pdf"),
            Output("assessment.pdf", f"{folder}/pdfs/Assessment_{TITLE}.pdf", "application/pdf"),
        )
        return Plan(outputs=outputs, steps=tuple(Call(stage, partial(_work, stage, params)) for stage in STAGES))


def _work(stage: str, params: StudiedParams, bench: Bench) -> None:
    if stage == params.fails_in:
        raise _fault(params)
    folder: Path = bench.folder
    if stage == "write_files":
        (folder / "notes.md").write_text(NOTES)
        (folder / "assessment.md").write_text(ASSESSMENT)
    if stage == "export_pdfs":
        (folder / "notes.pdf").write_bytes(b"%PDF-1.7 notes")
        (folder / "assessment.pdf").write_bytes(b"%PDF-1.7 questions")


def _fault(params: StudiedParams) -> MediaJobsError:
    if params.retryable:
        return ServiceError("The writer is busy")
    return ServiceRefusedError("API rate limit exceeded: 429 Too Many Requests")
