"""An entry of the job log: how one job went, in a form for scripts.

Names are those of the log, so they are snake_case, unlike all other JSON of mediajobs. Every entry has every key; what
does not apply to a job is null.
"""

from __future__ import annotations

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from mediajobs_dagster.models import Value

_IS_THERE = "Whether that file was there when the entry was made; null: not known."
_LONGEST_NAME = 200
"""The first values of an entry, by which a job log is recognised, are short. Ids have 36 characters at most."""


def _plain(name: str) -> str:
    return name


class TranscriptMetadata(Value):
    """What a transcript is, in short."""

    model_config = ConfigDict(alias_generator=_plain)

    duration: str = Field(description="Length of the media as minutes:seconds or hours:minutes:seconds, such as 15:30.")
    length: int = Field(description="Characters of the text.")
    method: str = Field(description="Where the words come from: embedded, subtitles or speech.")


class JobLogEntry(Value):
    """How one job went: what it was about, what it made, how long its parts took, and why it failed.

    Paths are keys of the storage: in a local storage they are paths below its folder.
    """

    model_config = ConfigDict(alias_generator=_plain)

    job_id: str | None = Field(default=None, max_length=_LONGEST_NAME, description="The job.")
    job_type: str = Field(max_length=_LONGEST_NAME, description="What was asked for, such as study_guide_v1.")
    trace_id: str | None = Field(default=None, max_length=_LONGEST_NAME, description="The trace.")

    video_id: str = Field(description="Id of the video at its site; of anything else, the id of the job's subject.")
    url: str | None = Field(default=None, description="The address that it was fetched from; null: there is none.")
    subject: str | None = Field(default=None, description="The field of study, of study guides and what leads to them.")
    worker_id: str | None = Field(default=None, description="Name of the machine.")

    video_title: str = Field(description="What people call it: a title or a file name.")
    transcript: str | None = Field(default=None, description="All that is said.")
    transcript_metadata: TranscriptMetadata | None = Field(default=None, description="What the transcript is.")

    has_notes: bool = Field(default=False, description="Whether there are notes.")
    has_assessment: bool = Field(default=False, description="Whether there is an assessment.")
    notes_length: int | None = Field(default=None, description="Characters of the notes.")
    assessment_length: int | None = Field(default=None, description="Characters of the assessment.")

    output_dir: str | None = Field(default=None, description="The folder below which all files of the subject are.")
    notes_filepath: str | None = Field(default=None, description="The notes, Markdown.")
    assessment_filepath: str | None = Field(default=None, description="The assessment, Markdown.")
    notes_file_exists: bool | None = Field(default=None, description=_IS_THERE)
    assessment_file_exists: bool | None = Field(default=None, description=_IS_THERE)

    pdf_subdir: str | None = Field(default=None, description="The folder below which the PDFs are.")
    notes_pdf_path: str | None = Field(default=None, description="The notes as PDF.")
    assessment_pdf_path: str | None = Field(default=None, description="The assessment as PDF.")
    notes_pdf_exists: bool | None = Field(default=None, description=_IS_THERE)
    assessment_pdf_exists: bool | None = Field(default=None, description=_IS_THERE)

    stage: str = Field(description="completed, or where the job failed, such as generating_notes.")
    success: bool = Field(description="Whether nothing is left to do.")
    error: str | None = Field(default=None, description="Why it failed: the code, a colon, and the message.")
    error_code: str | None = Field(default=None, description="The code alone.")
    start_time: float = Field(description="When the attempt that ended the job began, seconds since the epoch.")
    end_time: float | None = Field(default=None, description="When it was over, seconds since the epoch.")
    processing_duration: float = Field(description="How long that took, seconds.")
    timings: dict[str, float] = Field(
        default_factory=dict, description="How long each of its stages took, seconds, by name."
    )

    files_created: tuple[str, ...] = Field(default=(), description="What it made.")
    total_files: int = Field(
        default_factory=lambda found: len(found.get("files_created", ())),
        description="How many files it made.",
    )
    logged_at: str | None = Field(
        default=None,
        description="When the entry was written: ISO 8601, local time without a zone. Null: the logger fills it in.",
    )

    @model_validator(mode="after")
    def _says_why_it_failed(self) -> Self:
        # Scripts take the error of a failed job apart without asking whether there is one.
        if not self.success and not self.error:
            raise ValueError("a job that failed has an error")
        return self


KEYS = tuple(JobLogEntry.model_fields)
"""The keys of an entry, in their order."""
