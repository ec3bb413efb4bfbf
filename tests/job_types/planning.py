"""Plans as an attempt makes them, and their calls carried out in a folder, without an attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from mediajobs_dagster.attempts.bench import AttemptBench
from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.history import History
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.job_types.base import JobType, Params
from mediajobs_dagster.job_types.bench import Installation
from mediajobs_dagster.job_types.material import Machine, Material, Source, ToneMapping
from mediajobs_dagster.job_types.plan import Call, Plan
from mediajobs_dagster.models import HostFacts, Job, JsonObject, Timeline, new_id, new_trace_id, utc_now
from mediajobs_dagster.records import AttemptKey
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import open_storage


@dataclass(frozen=True)
class SaidMachine(Machine):
    """A machine that can what it is said to."""

    mapping: ToneMapping | None = None
    encoders: frozenset[str] = frozenset()
    max_pixels: int = 8192 * 8192

    def tone_mapping(self) -> ToneMapping | None:
        return self.mapping

    def works(self, encoder: str) -> bool:
        return encoder in self.encoders

    def decodes(self, codec: str) -> bool:
        return True

    def entry(self, source: Source, at: Fraction) -> Fraction:
        return at


def planned(job_type: JobType, material: Material, params: Params, machine: Machine) -> Plan:
    """Prepare, then plan."""
    prepared = job_type.prepare(material, params, machine)
    return job_type.plan(replace(material, prepared=prepared), params)


def of_timeline(job: Job, document: JsonObject, sources: Mapping[str, Source]) -> Material:
    """What an export is planned from."""
    stored = Timeline(id=new_id(), document=document, etag="", created_at=utc_now(), trace_id=new_trace_id())
    return Material(job, stored, sources, new_id())


def make_calls(plan: Plan, folder: Path) -> Recorder:
    """Do the work of a plan's calls in `folder`, and leave out its commands."""
    key = AttemptKey(attempt_id=new_id(), job_type="test", subject_id=new_id())
    recorder = Recorder(key, HostFacts(hostname="here"))
    settings = Settings(_env_file=None, home=folder / "home")
    # Nothing of it is opened: these calls make media.
    history = History(Database(settings.database_url, timeout_s=1))
    installation = Installation(settings, history, lambda: open_storage(settings))
    for step in plan.steps:
        if isinstance(step, Call):
            step.work(AttemptBench(folder, Cancellation(), Deadline.after(60), installation, recorder))
    return recorder
