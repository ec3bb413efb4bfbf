"""Makes an entry of the job log of what is known of a job. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mediajobs_dagster.attempts.manifest import ErrorRecord, Manifest, StageRecord
from mediajobs_dagster.history.attempts import outputs_of
from mediajobs_dagster.history.job_log_entry import JobLogEntry, TranscriptMetadata
from mediajobs_dagster.models import Attempt, AttemptStatus, FollowUp, JsonObject
from mediajobs_dagster.storage.keys import without_attempt
from mediajobs_dagster.transcripts.model import Transcript

COMPLETED, SKIPPED, STARTED = "completed", "skipped", "started"
"""Stages of no attempt: it succeeded; it was not worth starting yet; and nothing is known but that it began."""

_WITHIN = {
    "fetch_transcript": "fetching_transcript",
    "generate_notes": "generating_notes",
    "generate_assessment": "generating_assessment",
    "write_files": "writing_files",
    "export_pdfs": "exporting_pdfs",
}
"""What the log calls a stage of a study guide that was not finished. Any other keeps its name."""
_BEHIND = {
    "fetch_transcript": "transcript_fetched",
    "generate_notes": "notes_generated",
    "generate_assessment": "assessment_generated",
    "write_files": "files_written",
    "export_pdfs": "pdfs_exported",
}
"""What the log says of an attempt that ended after such a stage and before the next."""

_GUIDES = "notes/"
_ASSESSMENT = "Assessment_"


@dataclass(frozen=True)
class About:
    """What a job is about."""

    video_id: str
    title: str
    url: str | None = None


@dataclass(frozen=True)
class GuideFiles:
    """Where the files of a study guide are, as keys; None: there is no such file."""

    notes: str | None = None
    assessment: str | None = None
    notes_pdf: str | None = None
    assessment_pdf: str | None = None

    @classmethod
    def among(cls, keys: Sequence[str]) -> GuideFiles:
        """Those among the outputs of a job, by their names: `notes/{subject}/Title.md`, `Assessment_Title.md`, …"""
        notes, assessment = _pair(keys, ".md")
        notes_pdf, assessment_pdf = _pair(keys, ".pdf")
        return cls(notes, assessment, notes_pdf, assessment_pdf)

    @property
    def all(self) -> tuple[str, ...]:
        """Those that there are, in their order."""
        return tuple(filter(None, (self.notes, self.assessment, self.notes_pdf, self.assessment_pdf)))


@dataclass(frozen=True)
class Lengths:
    """How long the texts of a study guide are, characters; None: not known."""

    notes: int | None = None
    assessment: int | None = None


def entry_of(
    attempt: Attempt,
    about: About,
    *,
    follow_up: Sequence[FollowUp] = (),
    transcript: Transcript | None = None,
    lengths: Lengths = Lengths(),
    exists: Callable[[str], bool | None] = lambda _: None,
) -> JobLogEntry:
    """The entry for the attempt that ended a job, made of its history row and manifest.

    `follow_up` is what is wanted after the job: what leads to a study guide has its subject. `exists` says whether
    there is an object under a key; None: not known.
    """
    manifest = Manifest.model_validate(attempt.manifest) if attempt.manifest else None
    stages = manifest.stages if manifest else ()
    created, files = created_by(attempt), GuideFiles.among(keys_of(attempt))

    def is_there(key: str | None) -> bool | None:
        return None if key is None else exists(key)

    succeeded = attempt.status in (AttemptStatus.SUCCESS, AttemptStatus.SKIPPED)
    return JobLogEntry(
        job_id=attempt.job_id,
        job_type=attempt.job_name,
        trace_id=attempt.trace_id,
        video_id=about.video_id,
        url=about.url,
        subject=_subject_of(manifest, follow_up),
        worker_id=attempt.host,
        video_title=about.title,
        transcript=transcript.text if transcript else None,
        transcript_metadata=_metadata_of(transcript) if transcript else None,
        has_notes=files.notes is not None,
        has_assessment=files.assessment is not None,
        notes_length=lengths.notes,
        assessment_length=lengths.assessment,
        output_dir=_folder_of((*files.all, *keys_of(attempt))),
        notes_filepath=files.notes,
        assessment_filepath=files.assessment,
        notes_file_exists=is_there(files.notes),
        assessment_file_exists=is_there(files.assessment),
        pdf_subdir=_folder_of(tuple(filter(None, (files.notes_pdf, files.assessment_pdf)))),
        notes_pdf_path=files.notes_pdf,
        assessment_pdf_path=files.assessment_pdf,
        notes_pdf_exists=is_there(files.notes_pdf),
        assessment_pdf_exists=is_there(files.assessment_pdf),
        stage=_stage_of(attempt, stages, manifest.errors if manifest else ()),
        success=succeeded,
        error=None if succeeded else f"{_code_of(attempt)}: {attempt.error or 'not known'}",
        error_code=None if succeeded else _code_of(attempt),
        start_time=attempt.started_at.timestamp(),
        end_time=attempt.completed_at.timestamp() if attempt.completed_at else None,
        processing_duration=(attempt.duration_ms or 0) / 1000,
        timings=_timings_of(stages),
        files_created=(*(key for key in files.all if key in created), *(k for k in created if k not in files.all)),
    )


def keys_of(attempt: Attempt) -> tuple[str, ...]:
    """The outputs that there are since the attempt: those it made, or those it found up to date."""
    return created_by(attempt) or tuple((attempt.result or {}).get("upToDate", ()))


def created_by(attempt: Attempt) -> tuple[str, ...]:
    """The outputs that the attempt made."""
    return tuple(output["key"] for output in outputs_of(attempt.result))


def _code_of(attempt: Attempt) -> str:
    return attempt.error_code or attempt.status.value.upper()


def _subject_of(manifest: Manifest | None, follow_up: Sequence[FollowUp]) -> str | None:
    params: list[JsonObject] = [each.params for each in follow_up]
    if manifest:
        # Where nobody named one, the job reports what it took.
        params = [manifest.input_summary.get("params") or {}, manifest.figures, *params]
    named = (each.get("subject") for each in params)
    return next((subject for subject in named if subject and isinstance(subject, str)), None)


def _metadata_of(transcript: Transcript) -> TranscriptMetadata:
    return TranscriptMetadata(
        duration=_clock(transcript.duration_seconds), length=len(transcript.text), method=transcript.method.value
    )


def _clock(seconds: float) -> str:
    """15:30 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _pair(keys: Sequence[str], suffix: str) -> tuple[str | None, str | None]:
    """The notes and the assessment among keys: the assessment is called as the notes are, with a word before it."""
    found = {PurePosixPath(key).name: key for key in keys if key.startswith(_GUIDES) and key.endswith(suffix)}
    for name, key in found.items():
        if name.startswith(_ASSESSMENT) and (notes := found.get(name.removeprefix(_ASSESSMENT))):
            return notes, key
    return next(iter(found.values()), None), None


def _folder_of(keys: Sequence[str]) -> str | None:
    """The folder of the first key, without the attempt's own."""
    return str(PurePosixPath(without_attempt(keys[0])).parent) if keys else None


def _timings_of(stages: Sequence[StageRecord]) -> dict[str, float]:
    """Seconds by stage. A stage that was entered several times counts as one."""
    sums: dict[str, int] = {}
    for stage in stages:
        sums[stage.name] = sums.get(stage.name, 0) + stage.duration_ms
    return {name: duration_ms / 1000 for name, duration_ms in sums.items()}


def _stage_of(attempt: Attempt, stages: Sequence[StageRecord], errors: Sequence[ErrorRecord]) -> str:
    """Where a job ended, as the log calls it."""
    if attempt.status is AttemptStatus.SUCCESS or "upToDate" in (attempt.result or {}):
        return COMPLETED
    if attempt.status is AttemptStatus.SKIPPED:
        return SKIPPED
    failed_in = errors[-1].stage if errors else None
    failed_in = failed_in or next((stage.name for stage in reversed(stages) if stage.status != "ok"), None)
    if failed_in:
        return _WITHIN.get(failed_in, failed_in)
    return _BEHIND.get(stages[-1].name, stages[-1].name) if stages else STARTED
