"""The stages of a guide, what it reads, and what its files are called."""

from __future__ import annotations

from dataclasses import dataclass

from mediajobs_dagster.job_types.material import OutputUse

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
