"""The five stages of a guide. Each leaves what the next one needs, and the costly ones keep it for further attempts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from mediajobs_dagster.errors import TranscriptEmptyError
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.material import OutputUse
from mediajobs_dagster.job_types.plan import Call
from mediajobs_dagster.job_types.study_guide.keeping import kept
from mediajobs_dagster.job_types.study_guide.told import ToldTalk
from mediajobs_dagster.job_types.study_guide.transcripts import read_talk
from mediajobs_dagster.job_types.study_guide.writers import StudyWriter, writer_of
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.study.document import About, Document, document_of_assessment, document_of_notes
from mediajobs_dagster.study.markdown import to_markdown
from mediajobs_dagster.study.model import Asked, Assessment, Notes
from mediajobs_dagster.study.talk import Talk
from mediajobs_dagster.study.typesetting import check_typst, without_glyphs, write_pdf

TRANSCRIPT = OutputUse("transcript_v1", "transcript.json")
STAGES = ("fetch_transcript", "generate_notes", "generate_assessment", "write_files", "export_pdfs")


@dataclass(frozen=True)
class Names:
    """What the files of a guide are called, without suffix."""

    notes: str

    @property
    def assessment(self) -> str:
        """Of the file with the questions."""
        return f"Assessment_{self.notes}"


@dataclass
class GuideMaking:
    """The work on one guide, which goes from stage to stage."""

    told: ToldTalk
    asked: Asked
    names: Names
    writer_name: str | None
    """None: as the settings say."""
    version: int
    _talk: Talk | None = None
    _digest: str = ""
    _notes: Notes | None = None
    _assessment: Assessment | None = None
    _documents: dict[str, Document] = field(default_factory=dict[str, Document])

    @property
    def steps(self) -> tuple[Call, ...]:
        """The stages in their order."""
        works = (
            *(self.fetch_transcript, self.generate_notes, self.generate_assessment, self.write_files),
            self.export_pdfs,
        )
        weights = (1.0, 20.0, 10.0, 1.0, 2.0)
        return tuple(
            Call(stage, work, weight=weight) for stage, work, weight in zip(STAGES, works, weights, strict=True)
        )

    def fetch_transcript(self, bench: Bench) -> None:
        """Read the transcript. What later stages would lack is told now, before anything is paid for."""
        check_typst()
        writer = self._writer(bench)
        writer.check_settings(bench.installation.settings)
        self._talk, self._digest = read_talk(bench.folder / TRANSCRIPT.filename, self.told.title, self.told.chapters)
        if not self._talk.passages:
            raise TranscriptEmptyError(f"Nothing is said in {self.told.title}, so there is nothing to write notes of.")
        bench.report(
            writer=writer.name,
            subject=self.asked.subject,
            language=self._talk.language,
            transcriptWords=self._talk.words,
        )

    def generate_notes(self, bench: Bench) -> None:
        """Have the notes written."""
        talk, writer = self._read, self._writer(bench)

        def make() -> JsonObject:
            return writer.write_notes(talk, self.asked, bench).to_json()

        self._notes = _read_back(Notes, kept(bench, self._basis(bench, "notes"), make), make)
        bench.report(keyPoints=len(self._notes.key_points), terms=len(self._notes.terms))

    def generate_assessment(self, bench: Bench) -> None:
        """Have the questions written."""
        talk, writer, notes = self._read, self._writer(bench), self._written

        def make() -> JsonObject:
            return writer.write_assessment(talk, notes, self.asked, bench).to_json()

        found = kept(bench, self._basis(bench, "assessment"), make)
        self._assessment = _read_back(Assessment, found, make)
        bench.report(questions=len(self._assessment.questions), difficulty=self.asked.difficulty)

    def write_files(self, bench: Bench) -> None:
        """Write both as Markdown."""
        assert self._assessment is not None
        settings = bench.installation.settings
        about = About(self._writer(bench).imprint(settings), self.told.source)
        notes, assessment = self._written, self._assessment
        self._documents = {
            self.names.notes: document_of_notes(notes, about),
            self.names.assessment: document_of_assessment(assessment, about, language=notes.language),
        }
        lengths = {name: _write(bench.folder / f"{name}.md", each) for name, each in self._documents.items()}
        bench.report(notesLength=lengths[self.names.notes], assessmentLength=lengths[self.names.assessment])
        bench.report(title=self.told.title)

    def export_pdfs(self, bench: Bench) -> None:
        """Set both as PDF."""
        for number, (name, document) in enumerate(self._documents.items(), 1):
            write_pdf(document, bench.folder / f"{name}.pdf")
            bench.progress(number / len(self._documents))
        if boxes := without_glyphs(self._documents[self.names.notes]):
            bench.note(
                f"{len(boxes)} characters, such as {boxes[:8]}, are in none of the fonts that mediajobs brings: the "
                "PDFs show boxes for them, unless this machine has a font with them. The Markdown has them all."
            )

    @property
    def _read(self) -> Talk:
        assert self._talk is not None, "the stages run in their order"
        return self._talk

    @property
    def _written(self) -> Notes:
        assert self._notes is not None, "the stages run in their order"
        return self._notes

    def _writer(self, bench: Bench) -> StudyWriter:
        return writer_of(self.writer_name or bench.installation.settings.study_writer)

    def _basis(self, bench: Bench, stage: str) -> JsonObject:
        """All that the result of a stage depends on."""
        return {
            "stage": stage,
            "version": self.version,
            "writer": self._writer(bench).identity(bench.installation.settings),
            "asked": self.asked.to_json(),
            "title": self.told.title,
            "chapters": [chapter.to_json() for chapter in self.told.chapters],
            "transcript": self._digest,
        }


Kept = TypeVar("Kept", Notes, Assessment)


def _read_back(kind: type[Kept], found: JsonObject, make: Callable[[], JsonObject]) -> Kept:
    """What was kept, or written anew where an earlier version of mediajobs kept it in another form."""
    try:
        return kind.model_validate(found)
    except ValidationError:
        return kind.model_validate(make())


def _write(path: Path, document: Document) -> int:
    """Write a document as Markdown; returns its length in characters."""
    text = to_markdown(document)
    path.write_text(text)
    return len(text)
