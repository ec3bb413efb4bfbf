"""What the attempts of one run came to. It does not grow with their number."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.errors import MediaJobsError

KEPT = 20
"""How many outcomes are kept whole."""


@dataclass
class RunTotals:
    """Totals over all attempts, and the first few of them whole: a manifest is large, and the history has them all."""

    attempts: int = 0
    succeeded: int = 0
    """Attempts after which their job has its output."""
    first: list[AttemptEnded] = field(default_factory=list[AttemptEnded])
    """The first KEPT to end."""
    failures: list[AttemptEnded] = field(default_factory=list[AttemptEnded])
    """The first KEPT that left their job without its output."""
    faults: int = 0
    """Attempts that failed by a fault of the system."""
    first_fault: MediaJobsError | None = None
    commands: int = 0
    storage_ops: int = 0
    spent_ms: int = 0
    ffmpeg_ms: int = 0
    making_ms: int = 0
    """Of the attempts that made something."""
    media_seconds: float = 0.0
    """Their media seconds: of the source, or of what was made of it, whichever their real-time factor counts."""
    ffmpeg_cpu_ms: float = 0.0
    rss_mb_max: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    _lock: Lock = field(default_factory=Lock)

    @property
    def failed(self) -> int:
        """Attempts that left their job without its output."""
        return self.attempts - self.succeeded

    @property
    def rtf(self) -> float:
        """Real-time factor of all that was made; 0 if nothing was."""
        return self.media_seconds / (self.making_ms / 1000) if self.making_ms else 0.0

    @property
    def cpu_pct(self) -> float:
        """CPU time of all ffmpegs over their wall time, percent of one core."""
        return 100 * self.ffmpeg_cpu_ms / self.ffmpeg_ms if self.ffmpeg_ms else 0.0

    def add(self, outcome: AttemptEnded) -> None:
        """Count one more; threads may."""
        with self._lock:
            self._add(outcome)

    def _add(self, outcome: AttemptEnded) -> None:
        self.attempts += 1
        self.succeeded += outcome.succeeded
        if len(self.first) < KEPT:
            self.first.append(outcome)
        if not outcome.succeeded and len(self.failures) < KEPT:
            self.failures.append(outcome)
        if outcome.error and outcome.error.blame.concerns_operators:
            self.faults += 1
            self.first_fault = self.first_fault or outcome.error
        manifest = outcome.manifest
        metrics = manifest.metrics
        self.commands += len(manifest.ffmpeg_commands)
        self.storage_ops += len(manifest.s3_ops)
        self.spent_ms += manifest.duration_ms
        self.ffmpeg_ms += metrics.ffmpeg_ms
        if metrics.rtf is not None and metrics.media_seconds is not None:
            self.making_ms += manifest.duration_ms
            self.media_seconds += metrics.media_seconds
        self.ffmpeg_cpu_ms += metrics.cpu_pct_avg / 100 * metrics.ffmpeg_ms
        self.rss_mb_max = max(self.rss_mb_max, metrics.mem_rss_mb_max)
        self.bytes_in += metrics.s3_bytes_in
        self.bytes_out += metrics.s3_bytes_out
