"""The jobs of a drill: uploads, some of them hostile, exports of the good ones, and scheduled jobs."""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import DatabaseBusyError, DatabaseUnavailableError
from mediajobs_dagster.intake.batch import Prober
from mediajobs_dagster.intake.intake import Intake, Order
from mediajobs_dagster.intake.search import Search
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.video_export.encoding import ExportParams, Profile
from mediajobs_dagster.models import SubjectKind, Tick, Upload, new_id, new_trace_id, utc_now
from tests.clips import Clips
from tests.platform import Platform, usual

HOSTILE = 0.05
"""The share of uploads that are hostile."""
EXPORTS = 0.12
"""Exports for each upload."""
TICKS = 0.15
"""The share of what is asked for that is a moment of a schedule."""
JOBS_OF_AN_UPLOAD, JOBS_OF_AN_EXPORT = 3, 4


@dataclass
class Work:
    """What was asked for."""

    platform: Platform
    folder: Path
    """For the files."""
    good: list[Upload] = field(default_factory=list[Upload])
    hostile: list[Upload] = field(default_factory=list[Upload])
    exports: list[str] = field(default_factory=list[str])
    """Ids of the jobs."""
    quarantined: set[str] = field(default_factory=set[str])
    """The machines that were seen in quarantine."""
    _looked_at: float = -math.inf

    def ask(self, jobs: int, clips: Clips, hostile: list[Path], chance: random.Random) -> Iterator[int]:
        """Ask for about so many jobs, an upload, an export or a tick at a time; gives how many each time."""
        kinds = (clips.landscape, clips.no_audio, clips.rotated_portrait, clips.transport_stream, clips.detailed)
        schedules = [each for each in self.platform.registry if each.subject is SubjectKind.TICK]
        asked = number = 0
        while asked < jobs:
            number += 1
            if number % round(1 / HOSTILE) == 3:
                self.hostile.append(self._upload(chance.choice(hostile), probed=False))
                count = JOBS_OF_AN_UPLOAD
            elif chance.random() < TICKS:
                self._tick(chance.choice(schedules), utc_now() - timedelta(minutes=number))
                count = 1
            elif self.good and chance.random() < EXPORTS:
                self.exports.append(self._export(chance.choice(self.good)))
                count = JOBS_OF_AN_EXPORT
            else:
                self.good.append(self._upload(chance.choice(kinds)(), probed=True))
                count = JOBS_OF_AN_UPLOAD
            asked += count
            yield count

    def look(self) -> None:
        """See which machines are quarantined; at most once a second."""
        if time.monotonic() - self._looked_at >= 1:
            self._looked_at = time.monotonic()
            with suppress(DatabaseUnavailableError, DatabaseBusyError):
                self.quarantined |= {each.host for each in self.platform.media.breakers.quarantines()}

    def _upload(self, path: Path, *, probed: bool) -> Upload:
        """A new upload with that content, and the jobs that are made of it."""
        platform, trace_id = self.platform, new_trace_id()
        # The same file again would be the same upload, whose jobs there are already.
        path = Path(shutil.copy(path, self.folder / f"{len(self.good) + len(self.hostile)}-{path.name}"))
        intake = Intake(platform.history, platform.storage)
        candidate = Search(platform.storage).file(str(path))
        info = Prober.from_settings(platform.settings).probe(candidate, Cancellation()) if probed else None
        candidate = intake.store(candidate, new_id(), trace_id, info=info)
        (registered,) = intake.commit(
            [candidate], Order(job_types=usual(platform.registry), max_attempts=platform.settings.max_attempts)
        )
        return registered.upload

    def _tick(self, job_type: JobType, moment: datetime) -> None:
        """A job on a moment that no other job has."""
        tick = Tick(schedule=job_type.name, created_at=moment.replace(microsecond=0))
        tries = self.platform.settings.max_attempts
        self.platform.history.jobs.enqueue([job_type.request(tick, trace_id=new_trace_id(), max_attempts=tries)])

    def _export(self, upload: Upload) -> str:
        """The job that renders the first second of an upload."""
        cut = {"kind": "clip", "source": upload.id, "in": 0, "out": 1}
        timeline = {"version": "create_video_v1", "canvas": {"width": 320, "height": 180}, "track": [cut]}
        return self.platform.media.export(timeline, params=ExportParams(profile=Profile.DRAFT), force=True).job.id
