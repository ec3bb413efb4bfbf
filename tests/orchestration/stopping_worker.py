"""A worker in a process of its own that stops itself (SIGSTOP) in the middle of publishing.

    python -m tests.orchestration.stopping_worker

Settings come from the environment, as for any worker. Woken up (SIGCONT), it goes on as if nothing had happened.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from mediajobs_dagster.attempts.once import Once
from mediajobs_dagster.job_types.base import JobType, Lane, Params
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Output, Plan
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import SubjectKind
from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.orchestration.instance import open_instance
from mediajobs_dagster.orchestration.local_runs import LocalRuns
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import ObjectStat, OnBytes, Storage
from mediajobs_dagster.system import MediaJobs

_SIZE = 17 * 1024 * 1024
"""Large enough to go to S3 in parts."""


class Marked(JobType):
    """A file that says which attempt made it."""

    name: ClassVar[str] = "marked_v1"
    asset: ClassVar[str] = "marked"
    lane: ClassVar[Lane] = Lane.LIGHT
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD

    @override
    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        return (f"marked/{subject_id}/mark.bin",)

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        (key,) = self.output_keys(material.subject.id)
        content = material.attempt_id.encode().ljust(_SIZE)
        return Plan(outputs=(Output("mark.bin", key, "application/octet-stream", literal=content),))


def stopping(storage: Storage) -> Storage:
    """The same storage, which stops the process when a part of an object is written."""

    class Stopping(type(storage)):
        _has_stopped = False

        @override
        def _store(self, path: Path, key: str, content_type: str, moved: OnBytes) -> ObjectStat:
            def count(size: int) -> None:
                moved(size)
                if not Stopping._has_stopped:
                    Stopping._has_stopped = True
                    os.kill(os.getpid(), signal.SIGSTOP)

            return super()._store(path, key, content_type, count)

    storage.__class__ = Stopping
    return storage


def main() -> None:
    """Work off the queue as `mediajobs work` does."""
    settings = Settings.load(_env_file=None)
    with MediaJobs(settings, Registry([Marked()])) as media, open_instance(settings) as instance:
        storage = stopping(media.storage)
        media._storage = Once(lambda: storage)  # there is no other way in
        LocalRuns(media, build_definitions(media), instance).work_off()


if __name__ == "__main__":
    main()
