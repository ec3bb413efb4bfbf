"""A study guide, from the transcript of a talk to four files in the storage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mediajobs_dagster.attempts.staleness import Staleness
from mediajobs_dagster.job_types.study_guide import StudyGuide
from mediajobs_dagster.models import AttemptStatus, JobStatus
from tests.platform import Platform
from tests.study.guides import Guides, registry
from tests.study.talks import text_of, transcript_of

OpenPlatform = Callable[..., Platform]


@pytest.fixture
def guides(open_platform: OpenPlatform) -> Guides:
    """A platform without a language model."""
    return Guides(open_platform(registry=registry()))


def test_a_transcript_becomes_notes_questions_and_two_pdfs(guides: Guides, tmp_path: Path) -> None:
    """Four files under the names of field and talk, five timed stages, and nothing else is left."""
    platform = guides.platform
    talk = tmp_path / "The Printing Press: how books changed Europe.mp4"
    upload = guides.talk(talk, transcript_of(text_of("printing_press")))
    outcome = guides.make(upload, subject="History of Europe", difficulty="easy", questions=8)
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    name, attempt = "The_Printing_Press_how_books_changed_Europe", outcome.attempt_id
    assert platform.current_keys(upload, "study_guide_v1") == [
        f"notes/History_of_Europe/{attempt}/{name}.md",
        f"notes/History_of_Europe/{attempt}/Assessment_{name}.md",
        f"notes/History_of_Europe/pdfs/{attempt}/{name}.pdf",
        f"notes/History_of_Europe/pdfs/{attempt}/Assessment_{name}.pdf",
    ]
    notes, assessment, *pdfs = (
        platform.output(key).read_bytes() for key in platform.current_keys(upload, "study_guide_v1")
    )
    assert b"## Key points" in notes
    assert b"movable type" in notes
    assert b"## Answers" in assessment
    assert all(pdf.startswith(b"%PDF-") for pdf in pdfs)
    stages = [stage.name for stage in outcome.manifest.stages if stage.name not in ("check", "fetch", "probe", "plan")]
    assert stages == [
        *("fetch_transcript", "generate_notes", "generate_assessment", "write_files", "export_pdfs"),
        *("verify", "publish"),
    ]
    figures = outcome.manifest.figures
    assert (figures["writer"], figures["subject"], figures["questions"]) == ("extractive", "History of Europe", 8)
    assert figures["notesLength"] == len(notes.decode())
    assert list(platform.storage.list("checkpoints/")) == []
    assert platform.leftovers() == []


def test_what_is_fresh_is_not_made_again(guides: Guides, tmp_path: Path) -> None:
    """The same request on the same transcript makes nothing; a new transcript makes the guide stale."""
    upload = guides.talk(tmp_path / "talk.mp4", transcript_of(text_of("sourdough")))
    assert guides.make(upload).status is AttemptStatus.SUCCESS
    assert guides.make(upload).status is AttemptStatus.SKIPPED
    assert guides.make(upload, difficulty="hard").status is AttemptStatus.SUCCESS
    guides.transcribe(upload, transcript_of(text_of("gradient_descent")))
    outcome = guides.make(upload, difficulty="hard")
    assert outcome.status is AttemptStatus.SUCCESS
    (notes, *_) = guides.platform.current_keys(upload, "study_guide_v1")
    assert "gradient" in guides.platform.output(notes).read_text()


def test_a_backfill_knows_what_a_guide_is_made_of(guides: Guides, tmp_path: Path) -> None:
    """No guide is due before there is a transcript, nor while it is fresh; one is with each new transcript."""
    platform = guides.platform

    def is_due() -> bool:
        with closing(Staleness(StudyGuide(), platform.history, platform.storage).stale([upload])) as found:
            return [upload] in list(found)

    (tmp_path / "talk.mp4").write_text("talk")
    upload = platform.register(tmp_path / "talk.mp4")
    assert not is_due()
    guides.transcribe(upload, transcript_of(text_of("sourdough")))
    assert is_due()
    assert guides.make(upload).status is AttemptStatus.SUCCESS
    assert not is_due()
    guides.transcribe(upload, transcript_of(text_of("printing_press")))
    assert is_due()


def test_the_same_talk_has_the_same_files(guides: Guides, tmp_path: Path) -> None:
    """Byte by byte, the PDFs too."""
    upload = guides.talk(tmp_path / "talk.mp4", transcript_of(text_of("sourdough")))
    first = guides.make(upload).manifest
    again = guides.make(upload, force=True).manifest
    assert [each.sha256 for each in first.outputs] == [each.sha256 for each in again.outputs]
    assert first.outputs[0].key != again.outputs[0].key


def test_without_a_transcript_it_says_which_command_makes_one(guides: Guides, tmp_path: Path) -> None:
    """Nobody is to blame but the request: the job is not tried again."""
    (tmp_path / "talk.mp4").write_text("talk")
    upload = guides.platform.register(tmp_path / "talk.mp4")
    outcome = guides.make(upload)
    assert outcome.error
    assert outcome.error.code == "PREREQUISITE_MISSING"
    assert "mediajobs add FILE --type transcript_v1" in outcome.error.message
    assert outcome.verdict.status is JobStatus.DEAD
    assert not outcome.error.blame.concerns_operators


@pytest.mark.parametrize("said", ["", "   \n\n"])
def test_of_silence_there_are_no_notes(guides: Guides, tmp_path: Path, said: str) -> None:
    """A recording in which nobody speaks fails with a code of its own, and the machine is not to blame."""
    upload = guides.talk(tmp_path / "talk.mp4", transcript_of(said))
    outcome = guides.make(upload)
    assert outcome.error
    assert (outcome.error.code, outcome.verdict.status) == ("TRANSCRIPT_EMPTY", JobStatus.DEAD)


@pytest.mark.parametrize(
    "document",
    [
        json.dumps({"version": "transcript_v2", "durationSeconds": 1, "method": "speech"}),
        json.dumps({"version": "transcript_v1", "method": "speech"}),
        json.dumps([1, 2, 3]),
        '{"version": "transcript_v1", "durationSeconds": 1e999, "sentences": []}',
    ],
)
def test_a_transcript_of_another_form_is_refused(guides: Guides, tmp_path: Path, document: str) -> None:
    """It is told that it has to be made again; no attempt is wasted on it."""
    upload = guides.talk(tmp_path / "talk.mp4", document)
    outcome = guides.make(upload)
    assert outcome.error
    assert (outcome.error.code, outcome.verdict.status) == ("INPUT_UNSUPPORTED", JobStatus.DEAD)


def test_a_writer_that_is_not_there_is_told_before_anything_is_done(guides: Guides, tmp_path: Path) -> None:
    """With the names of those that are."""
    upload = guides.talk(tmp_path / "talk.mp4", transcript_of(text_of("sourdough")))
    outcome = guides.make(upload, writer="nobody")
    assert outcome.error
    assert outcome.error.code == "JOB_SETTINGS_INVALID"
    assert "extractive, openai" in outcome.error.message


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("../../etc/passwd.mp4", "etc_passwd"),
        ("x" * 200 + ".mp4", "x" * 48),
        ("Über Größe, straße?.webm", "Uber_Grosse_strasse"),
        ("机器学习.mp4", None),
        ("Lecture 3.1.mp4", "Lecture_3_1"),
    ],
)
def test_names_of_files_are_safe(guides: Guides, tmp_path: Path, title: str, name: str | None) -> None:
    """Whatever a talk is called, its guide has a name of letters and digits; one of another script gets its id."""
    upload = guides.talk(tmp_path / "talk.mp4", transcript_of(text_of("sourdough")))
    renamed = upload.model_copy(update={"id": f"{upload.id[:-4]}abcd", "filename": title, "origin": None})
    guides.platform.history.uploads.add(renamed)
    guides.transcribe(renamed, transcript_of(text_of("sourdough")))
    outcome = guides.make(renamed, subject="Küche / Essen")
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    expected = name or f"Talk_{renamed.id[-8:]}"
    assert outcome.manifest.outputs[0].key == f"notes/Kuche_Essen/{outcome.attempt_id}/{expected}.md"


def test_what_a_site_tells_of_a_talk_is_in_its_guide(guides: Guides, tmp_path: Path) -> None:
    """Its title, its chapters, and an address into which each time leads; what is not usable of it is left out."""
    upload = guides.talk(tmp_path / "talk.mp4", transcript_of(text_of("sourdough")))
    chapters = [
        {"startSeconds": 0.0, "endSeconds": 60, "title": "The starter"},
        {"startSeconds": 70, "endSeconds": None, "title": "Dough & <b>oven</b>"},
        {"startSeconds": -3, "title": "before"},
        {"startSeconds": "x", "title": "no"},
        "nonsense",
    ]
    details = {"title": "Bread | for *all*", "address": "https://www.youtube.com/watch?v=abc&t=9", "chapters": chapters}
    told = upload.model_copy(update={"id": f"{upload.id[:-4]}abcd", "origin": None, "details": details})
    guides.platform.history.uploads.add(told)
    guides.transcribe(told, transcript_of(text_of("sourdough")))
    outcome = guides.make(told)
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    notes = guides.platform.output(outcome.manifest.outputs[0].key).read_text()
    assert outcome.manifest.outputs[0].key.endswith("/Bread_for_all.md")
    assert notes.startswith("# Bread \\| for \\*all\\*\n")
    assert "### The starter ([0:00](https://www.youtube.com/watch?v=abc&t=0s))" in notes
    assert "### Dough \\& \\<b\\>oven\\<\\/b\\>" in notes
    assert notes.count("### ") == 2


def test_another_package_brings_a_writer(tmp_path: Path) -> None:
    """An entry point names it; one that cannot be loaded says so."""
    info = tmp_path / "pens-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pens\nVersion: 1.0\n")
    points = "[mediajobs.study_writers]\nquill = pens:WRITER\nbroken = pens:NOTHING\n"
    (info / "entry_points.txt").write_text(points)
    (tmp_path / "pens.py").write_text(
        "from mediajobs_dagster.job_types.study_guide.writers import ExtractiveWriter\n"
        "class Quill(ExtractiveWriter):\n    name = 'quill'\nWRITER = Quill()\n"
    )
    program = (
        "from mediajobs_dagster.errors import SettingsError\n"
        "from mediajobs_dagster.job_types.study_guide.writers import writer_of\n"
        "print(writer_of('quill').name)\n"
        "try:\n    writer_of('broken')\nexcept SettingsError as error:\n    print(error)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    told = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    first, second, *_ = told.stdout.splitlines()
    assert first == "quill", told.stderr
    assert second.startswith("The writer broken (pens:NOTHING) cannot be loaded")
