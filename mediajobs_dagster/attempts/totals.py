"""Totals over the attempts of one run. Their size does not grow with the number of attempts."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.models import JobStatus

KEPT = 20
"""How many outcomes are kept in full."""


@dataclass
class RunTotals:
    """Totals over all attempts, and the first few outcomes in full. The history has the manifests of all."""

    attempts: int = 0
    succeeded: int = 0
    """Attempts whose job has its output."""
    first: list[AttemptEnded] = field(default_factory=list[AttemptEnded])
    """The first KEPT attempts to end."""
    failures: list[AttemptEnded] = field(default_factory=list[AttemptEnded])
    """The first KEPT attempts whose job has no output."""
    faults: int = 0
    """Attempts that failed because of a fault of the system."""
    first_fault: AttemptEnded | None = None
    taken_away: int = 0
    """Attempts whose job had been given to another worker before they ended."""
    commands: int = 0
    storage_ops: int = 0
    spent_ms: int = 0
    ffmpeg_ms: int = 0
    making_ms: int = 0
    """Duration of the attempts that made something, milliseconds."""
    media_seconds: float = 0.0
    """Media seconds of these attempts: of the source or of the output, whichever the real-time factor counts."""
    bytes_in: int = 0
    bytes_out: int = 0
    _lock: Lock = field(default_factory=Lock)

    @property
    def failed(self) -> int:
        """Attempts whose job has no output."""
        return self.attempts - self.succeeded

    @property
    def rtf(self) -> float:
        """Real-time factor over the attempts that made something; 0 if none did."""
        return self.media_seconds / (self.making_ms / 1000) if self.making_ms else 0.0

    def add(self, outcome: AttemptEnded) -> None:
        """Add an outcome; from any thread."""
        with self._lock:
            self._add(outcome)

    def _add(self, outcome: AttemptEnded) -> None:
        self.attempts += 1
        self.succeeded += outcome.succeeded
        if len(self.first) < KEPT:
            self.first.append(outcome)
        if not outcome.succeeded and len(self.failures) < KEPT:
            self.failures.append(outcome)
        if outcome.concerns_operators:
            self.faults += 1
            self.first_fault = self.first_fault or outcome
        self.taken_away += outcome.is_stale and outcome.verdict.status is not JobStatus.CANCELLED
        manifest = outcome.manifest
        metrics = manifest.metrics
        self.commands += len(manifest.ffmpeg_commands)
        self.storage_ops += len(manifest.s3_ops)
        self.spent_ms += manifest.duration_ms
        self.ffmpeg_ms += metrics.ffmpeg_ms
        if metrics.rtf is not None and metrics.media_seconds is not None:
            self.making_ms += manifest.duration_ms
            self.media_seconds += metrics.media_seconds
        self.bytes_in += metrics.s3_bytes_in
        self.bytes_out += metrics.s3_bytes_out
