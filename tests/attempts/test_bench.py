"""What a step reports is on record, or the step fails: never the record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, ClassVar

import pytest
from typing_extensions import override

from mediajobs_dagster.job_types.base import JobType, Params
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.material import Machine, Material
from mediajobs_dagster.job_types.plan import Call, Plan, Run
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.media.command import Command, Input, Output
from mediajobs_dagster.models import AttemptStatus, JobStatus, Progress, SubjectKind
from mediajobs_dagster.records import AttemptKey
from mediajobs_dagster.settings import Settings
from tests.clips import Clips
from tests.listeners import Watcher
from tests.platform import Platform


class Reports(JobType):
    """Reports one figure."""

    name: ClassVar[str] = "reports_v1"
    asset: ClassVar[str] = "report"
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD

    def __init__(self, figure: Any) -> None:
        self._figure = figure

    def plan(self, material: Material, params: Params) -> Plan:
        return Plan(steps=(Call("report", lambda bench: bench.report(figure=self._figure)),))


@pytest.mark.parametrize("figure", [datetime(2026, 1, 1, tzinfo=UTC), {"a": {1}}, float("nan")])
def test_a_figure_that_json_cannot_hold_fails_the_step(
    open_platform: Callable[..., Platform], clips: Clips, figure: Any
) -> None:
    """The attempt ends, on record, with a code; its job is not left processing."""
    platform = open_platform(registry=Registry([Reports(figure)]), max_attempts=1)
    upload = platform.add(clips.landscape(), Reports.name)
    (outcome,) = platform.work()
    assert outcome.status is AttemptStatus.FAILURE
    (attempt,) = platform.attempts(upload, Reports.name)
    assert (attempt.status, attempt.error_code) == (AttemptStatus.FAILURE, "INTERNAL_ERROR")
    assert platform.job(upload, Reports.name).status is JobStatus.DEAD


def test_a_figure_holds_no_secret(open_platform: Callable[..., Platform], clips: Clips) -> None:
    """Wherever in it the secret stands."""
    address = "https://user:password@host/key?X-Amz-Signature=0123abcd&X-Amz-Date=1"
    platform = open_platform(registry=Registry([Reports({"from": [address]})]))
    upload = platform.add(clips.landscape(), Reports.name)
    platform.work()
    (attempt,) = platform.attempts(upload, Reports.name)
    assert attempt.result is not None
    (kept,) = attempt.result["figures"]["figure"]["from"]
    assert kept.startswith("https://")
    assert "password" not in kept
    assert "0123abcd" not in kept


class Halves(JobType):
    """Two steps of the same weight, each of which reports that it is half done."""

    name: ClassVar[str] = "halves_v1"
    asset: ClassVar[str] = "halves"
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD

    def plan(self, material: Material, params: Params) -> Plan:
        def half(bench: Bench) -> None:
            bench.progress(0.5)
            bench.note("Asked https://host/key?X-Amz-Signature=0123abcd for it.")

        return Plan(steps=(Call("one", half), Call("two", half)))


def test_progress_is_that_of_all_steps_together(open_platform: Callable[..., Platform], clips: Clips) -> None:
    """Half of the first of two steps is a quarter of them; the steps lie between fetching and verifying."""
    told: list[float | None] = []

    class Tells(Watcher):
        def progress(self, key: AttemptKey, progress: Progress) -> None:
            told.append(progress.fraction)

    platform = open_platform(registry=Registry([Halves()]))
    upload = platform.add(clips.landscape(), Halves.name)
    (outcome,) = platform.work(Tells())
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    first, second = (0.05 + 0.83 * done for done in (0.25, 0.75))
    assert [each for each in told if each in (pytest.approx(first), pytest.approx(second))] == pytest.approx(
        [first, second]
    )
    notes = platform.manifest(upload, Halves.name).notes
    assert len(notes) == 2
    assert all("0123abcd" not in note and note.startswith("Asked https://host/key") for note in notes)


class Decodes(EditProxy):
    """Decodes its source; some steps follow from that."""

    name: ClassVar[str] = "decodes_v1"
    asset: ClassVar[str] = "decoded"

    def __init__(self, *further: Call) -> None:
        self._further = further

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        decode = Command(inputs=(Input(material.primary.name),), outputs=(Output("nowhere", ("-an", "-f", "null")),))
        return Plan(steps=(Run(decode, then=lambda left: self._further),))


INSTEAD = Call("instead", lambda bench: bench.note("It was done."))


@pytest.mark.parametrize(
    ("further", "status", "code", "notes"),
    [
        ((INSTEAD,), AttemptStatus.SUCCESS, None, ("It was done.",)),
        ((), AttemptStatus.FAILURE, "INPUT_CORRUPT", ()),
    ],
)
def test_what_follows_a_command_is_done_in_its_place_if_the_input_is_corrupt(
    open_platform: Callable[..., Platform],
    clips: Clips,
    further: tuple[Call, ...],
    status: AttemptStatus,
    code: str | None,
    notes: tuple[str, ...],
) -> None:
    """ffmpeg does not fail of that: its complaints tell it. Where nothing follows, the attempt fails."""
    platform = open_platform(registry=Registry([Decodes(*further)]))
    upload = platform.add(clips.shredded(), Decodes.name)
    (outcome,) = platform.work()
    assert (outcome.status, outcome.error and outcome.error.code) == (status, code)
    assert platform.manifest(upload, Decodes.name).notes == notes


def test_progress_begins_with_the_bytes_that_arrive(
    open_platform: Callable[..., Platform], s3_settings: Settings, clips: Clips
) -> None:
    """Fetching a large source takes long; when all of it is there, its share of the attempt is done."""
    told: dict[str, list[float | None]] = {}

    class Tells(Watcher):
        now = ""

        def stage(self, key: AttemptKey, name: str) -> None:
            self.now = name

        def progress(self, key: AttemptKey, progress: Progress) -> None:
            told.setdefault(self.now, []).append(progress.fraction)

    settings = s3_settings.model_dump(exclude={"home", "scratch_dir", "database_url"})
    platform = open_platform(**settings)
    platform.add(clips.landscape(), EditProxy.name)
    platform.work(Tells())
    assert told["fetch"][-1] == pytest.approx(0.05)


class Prepares(EditProxy):
    """Looks at its source in many places, and makes nothing of it."""

    name: ClassVar[str] = "prepares_v1"
    asset: ClassVar[str] = "prepared"

    @override
    def prepare(self, material: Material, params: Params, machine: Machine) -> object:
        return [machine.entry(material.primary, Fraction(place, 10)) for place in range(1, 29, 3)]

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        return Plan()


def test_what_is_damaged_where_a_plan_only_looks_is_not_noted(
    open_platform: Callable[..., Platform], clips: Clips
) -> None:
    """What is made of it may be from elsewhere; and if not, the command that makes it says so."""
    platform = open_platform(registry=Registry([Prepares()]))
    upload = platform.add(clips.scratched(), Prepares.name)
    (outcome,) = platform.work()
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    assert platform.manifest(upload, Prepares.name).notes == ()
