"""The job type `study_guide_v1`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from mediajobs_dagster.job_types.base import JobType, Lane, Params
from mediajobs_dagster.job_types.material import Material, OutputUse
from mediajobs_dagster.job_types.plan import Output, Plan
from mediajobs_dagster.job_types.study_guide.stages import STAGES, TRANSCRIPT, Names
from mediajobs_dagster.job_types.study_guide.told import ToldTalk
from mediajobs_dagster.models import SubjectKind
from mediajobs_dagster.services.language_model import CHAT, SERVICE
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage.keys import without_attempt
from mediajobs_dagster.study.model import Asked, Difficulty
from mediajobs_dagster.study.slugs import slug

MARKDOWN, PDF = "text/markdown; charset=utf-8", "application/pdf"
_OURS = re.compile(r"notes/[A-Za-z0-9_-]{1,64}/(?:[A-Za-z0-9_-]{1,64}\.md|pdfs/[A-Za-z0-9_-]{1,64}\.pdf)")
_SCRATCH_BYTES = 64 << 20
STUDY = "study"
"""In `JobType.needs`: the worker can set a guide as PDF."""


class StudyGuideParams(Params):
    """Parameters of a study guide."""

    subject: str = Field(default="General", min_length=1, max_length=100, description="The field of study, such as AI.")
    difficulty: Difficulty = Field(default=Difficulty.MEDIUM, description="How hard the questions are.")
    questions: int = Field(default=12, ge=1, le=60, description="How many questions there are at most.")
    writer: str | None = Field(
        default=None, max_length=100, description="Who writes it; null: as MEDIAJOBS_STUDY_WRITER says."
    )


class StudyGuide(JobType):
    """Notes on a talk and questions about it, as Markdown and PDF."""

    name: ClassVar[str] = "study_guide_v1"
    asset: ClassVar[str] = "study_guide"
    lane: ClassVar[Lane] = Lane.NETWORK
    needs: ClassVar[frozenset[str]] = frozenset({STUDY})
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    params: ClassVar[type[Params]] = StudyGuideParams
    threads: ClassVar[int] = 1
    reads: ClassVar[tuple[OutputUse, ...]] = (TRANSCRIPT,)
    ops: ClassVar[tuple[str, ...]] = STAGES
    keeps_checkpoints: ClassVar[bool] = True

    @override
    def measured_names(self, settings: Settings) -> Iterable[str]:
        del settings
        return (*STAGES, SERVICE, CHAT)

    @override
    def has_made(self, key: str) -> bool:
        return _OURS.fullmatch(without_attempt(key)) is not None

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        from mediajobs_dagster.job_types.study_guide.making import GuideMaking

        assert isinstance(params, StudyGuideParams)
        told = ToldTalk.of(material.subject)
        names = Names(slug(told.title, f"Talk_{material.subject.id[-8:]}"))
        making = GuideMaking(
            told=told,
            asked=Asked(subject=params.subject, difficulty=params.difficulty, questions=params.questions),
            names=names,
            writer_name=params.writer,
            version=self.version,
        )
        folder = f"notes/{slug(params.subject, 'General')}"
        outputs = (
            *(Output(f"{name}.md", f"{folder}/{name}.md", MARKDOWN) for name in (names.notes, names.assessment)),
            *(Output(f"{name}.pdf", f"{folder}/pdfs/{name}.pdf", PDF) for name in (names.notes, names.assessment)),
        )
        return Plan(outputs=outputs, steps=making.steps, scratch_bytes=_SCRATCH_BYTES)
