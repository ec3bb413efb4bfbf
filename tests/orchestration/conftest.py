"""A platform with Dagster on it: the definitions and an instance of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.orchestration.instance import open_instance
from mediajobs_dagster.orchestration.local_runs import LocalRuns
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.platform import Platform

PROJECT = Path(__file__).parents[2]


@dataclass
class DagsterPlatform(Platform):
    """A platform whose jobs run as Dagster runs, in this process."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def run_queue(self) -> None:
        """Work off the queue as `mediajobs work` does."""
        LocalRuns(self.media, self.definitions, self.instance).work_off()

    def tick(self, sensor: str) -> list[dg.RunRequest] | dg.SkipReason:
        """Evaluate a sensor once, as the daemon would."""
        found = self.definitions.resolve_sensor_def(sensor)
        context = dg.build_sensor_context(instance=self.instance, repository_def=self.definitions.get_repository_def())
        answer = found.evaluate_tick(context)
        if answer.run_requests:
            return list(answer.run_requests)
        return dg.SkipReason(answer.skip_message)

    def requests(self, sensor: str) -> list[dg.RunRequest]:
        """The runs that a sensor asks for."""
        answer = self.tick(sensor)
        assert isinstance(answer, list), answer
        return answer

    def execute(self, job_name: str, request: dg.RunRequest | None = None, **options: Any) -> dg.ExecuteInProcessResult:
        """Carry out a run, as the run launcher would."""
        if request is not None:
            options |= {"tags": request.tags}  # its day is one of them
        job = self.definitions.resolve_job_def(job_name)
        return job.execute_in_process(instance=self.instance, raise_on_error=False, **options)

    def runs(self, **tags: str) -> list[dg.DagsterRun]:
        """The runs with these tags."""
        return list(self.instance.get_runs(dg.RunsFilter(tags=tags)))


@pytest.fixture
def open_dagster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., DagsterPlatform]]:
    """Opens a platform with Dagster; keyword arguments are settings, `types` are further job types."""
    monkeypatch.setenv("MEDIAJOBS_HOME", str(tmp_path / "home"))  # Dagster's own storage reads it from there
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with ExitStack() as stack:

        def open_one(*, types: tuple[JobType, ...] = (), **overrides: Any) -> DagsterPlatform:
            defaults: dict[str, Any] = {"retry_base_s": 0.0, "scratch_reserve_mb": 1}
            settings = Settings.load(_env_file=None, **(defaults | overrides))
            media = stack.enter_context(MediaJobs(settings, Registry.standard().with_types(*types)))
            instance = stack.enter_context(open_instance(settings, PROJECT))
            return DagsterPlatform(media, build_definitions(media, for_runs=True), instance)

        yield open_one


@pytest.fixture
def dagster_platform(open_dagster: Callable[..., DagsterPlatform]) -> DagsterPlatform:
    """A platform with Dagster, all settings at their defaults but the retries' delay."""
    return open_dagster()
