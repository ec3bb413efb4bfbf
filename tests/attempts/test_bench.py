"""What a step reports is on record, or the step fails: never the record."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typing_extensions import override

from mediajobs_dagster.attempts.manifest import OutputRecord
from mediajobs_dagster.errors import DiskFullError
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.base import JobType, Params
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.material import Machine, Material
from mediajobs_dagster.job_types.plan import Call, Check, Child, Left, Output, Plan, Run
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.media import command as ffmpeg
from mediajobs_dagster.media.command import Command, Generated, Input
from mediajobs_dagster.models import AttemptStatus, JobStatus, Progress, RtfBasis, SubjectKind
from mediajobs_dagster.records import AttemptKey, AttemptProgressed, AttemptStarted, CommandStarted, Record
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
        def half(bench: Bench, name: str) -> None:
            bench.progress(0.5)
            bench.note(f"Asked https://host/key?X-Amz-Signature=0123abcd for {name}.")

        return Plan(steps=tuple(Call(name, partial(half, name=name)) for name in ("one", "two")))


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
        nowhere = ffmpeg.Output("nowhere", ("-an", "-f", "null"))
        decode = Command(inputs=(Input(material.primary.name),), outputs=(nowhere,))
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

    class Listens(Watcher):
        now = ""

        def stage(self, key: AttemptKey, name: str) -> None:
            self.now = name

        def progress(self, key: AttemptKey, progress: Progress) -> None:
            told.setdefault(self.now, []).append(progress.fraction)

    settings = s3_settings.model_dump(exclude={"home", "scratch_dir", "database_url"})
    platform = open_platform(**settings)
    platform.add(clips.detailed(), AudioEnvelope.name)
    platform.work(Listens())
    assert 0 < (told["fetch"][0] or 0) < 0.049
    assert told["fetch"][-1] == pytest.approx(0.05)
    assert told["fetch"] == sorted(told["fetch"], key=lambda fraction: fraction or 0)
    assert told["publish"][-1] == 1.0


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


class Raises(JobType):
    """Has a step that fails with an error which is none of mediajobs."""

    name: ClassVar[str] = "raises_v1"
    asset: ClassVar[str] = "raised"
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD

    def __init__(self, error: Exception) -> None:
        self._error = error

    def plan(self, material: Material, params: Params) -> Plan:
        def fail(bench: Bench) -> None:
            raise self._error

        return Plan(steps=(Call("fail", fail),))


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "DISK_FULL", DiskFullError().message),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "DISK_FULL", DiskFullError().message),
        (
            OSError(errno.EIO, "Input/output error"),
            "INTERNAL_ERROR",
            "The operating system refused something that should work: [Errno 5] Input/output error.",
        ),
        (
            KeyError("figure"),
            "INTERNAL_ERROR",
            "KeyError: 'figure'. This is a fault of mediajobs; please report it.",
        ),
    ],
)
def test_whatever_a_step_raises_has_a_code(
    open_platform: Callable[..., Platform], clips: Clips, error: Exception, code: str, said: str
) -> None:
    """And says what it was."""
    platform = open_platform(registry=Registry([Raises(error)]))
    upload = platform.add(clips.landscape(), Raises.name)
    platform.work()
    (attempt,) = platform.attempts(upload, Raises.name)
    assert (attempt.status, attempt.error_code, attempt.error) == (AttemptStatus.FAILURE, code, said)


class Tells(EditProxy):
    """Runs a command on its source, and notes what the steps after it find."""

    name: ClassVar[str] = "tells_v1"
    asset: ClassVar[str] = "told"

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        options = ("-an", "-c:v", "mpeg4", "-f", "matroska")
        command = Command(inputs=(Input(material.primary.name),), outputs=(ffmpeg.Output("half.mkv", options),))

        def further(left: Left) -> tuple[Call, ...]:
            found = f"damaged: {left.is_damaged}, made: {(left.folder / 'half.mkv').exists()}"

            def tell(bench: Bench) -> None:
                bench.note(found)
                bench.progress(0.5)

            return (Call("tell", tell),)

        return Plan(steps=(Run(command, then=further),))


@pytest.mark.parametrize(
    ("clip", "found"),
    [
        ("landscape", "damaged: False, made: True"),
        ("scratched", "damaged: True, made: True"),
        ("shredded", "damaged: False, made: False"),
    ],
)
def test_what_a_command_left_is_known_to_what_follows(
    open_platform: Callable[..., Platform], clips: Clips, clip: str, found: str
) -> None:
    """Of one that failed nothing is left; its progress is that of all steps, those that came later too."""
    records: list[Record] = []
    platform = open_platform(registry=Registry([Tells()]))
    upload = platform.add(getattr(clips, clip)(), Tells.name)
    (outcome,) = platform.work(records.append)
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    manifest = platform.manifest(upload, Tells.name)
    assert found in manifest.notes
    told = [record.progress for record in records if isinstance(record, AttemptProgressed)]
    assert told[-1].fraction == pytest.approx(0.05 + 0.83 * 0.75)
    # Of each command it is told that it begins, and how far it is.
    assert isinstance(records[0], AttemptStarted)
    begun = [record.argv for record in records if isinstance(record, CommandStarted)]
    assert begun == [command.argv for command in manifest.ffmpeg_commands if command.argv[0] == "ffmpeg"]
    if clip == "landscape":
        assert max(progress.out_seconds for progress in told) == pytest.approx(3.0, abs=0.1)


class TellsToAFullDisk(Tells):
    """The same, but what its command writes finds no space."""

    name: ClassVar[str] = "tells_to_a_full_disk_v1"
    asset: ClassVar[str] = "told_to_a_full_disk"

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        made = super().plan(material, params)
        (step,) = made.steps
        assert isinstance(step, Run)
        command = step.command
        assert isinstance(command, Command)

        def into(folder: Path) -> Command:
            (folder / "half.mkv").symlink_to("/dev/full")
            return command

        return replace(made, steps=(replace(step, command=into),))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_nothing_follows_a_command_that_failed_by_another_fault_than_the_inputs(
    open_platform: Callable[..., Platform], clips: Clips
) -> None:
    """The job is tried again; what its command left is nothing to go on with."""
    platform = open_platform(registry=Registry([TellsToAFullDisk()]))
    upload = platform.add(clips.landscape(), TellsToAFullDisk.name)
    (outcome,) = platform.work()
    assert outcome.error is not None
    assert outcome.error.code == "DISK_FULL"
    assert platform.manifest(upload, TellsToAFullDisk.name).notes == ()


class Orphaning(JobType):
    """Has a child of a type that nobody knows."""

    name: ClassVar[str] = "orphaning_v1"
    asset: ClassVar[str] = "orphan"
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD

    def plan(self, material: Material, params: Params) -> Plan:
        return Plan(steps=(), children=(Child("nosuch_v1"),))


def test_a_child_of_an_unknown_type_fails_the_attempt(open_platform: Callable[..., Platform], clips: Clips) -> None:
    """And not the recording of its end."""
    platform = open_platform(registry=Registry([Orphaning()]))
    upload = platform.add(clips.landscape(), Orphaning.name)
    platform.work()
    (attempt,) = platform.attempts(upload, Orphaning.name)
    assert attempt.status is AttemptStatus.FAILURE
    assert "nosuch_v1" in (attempt.error or "")


def test_an_output_is_decoded_from_a_second_before_its_end(platform: Platform, clips: Clips) -> None:
    """Where a file that was cut off fails; the command is on record."""
    upload = platform.add(clips.landscape(), EditProxy.name)
    platform.work()
    manifest = platform.manifest(upload, EditProxy.name)
    (output,) = manifest.outputs
    assert output.media_info
    begins = f"{output.media_info.duration_seconds - 1.0:.3f}"
    said = [" ".join(command.argv) for command in manifest.ffmpeg_commands]
    assert sum(f" -skip_loop_filter all -ss {begins} " in each and "-f null" in each for each in said) == 1


class Weightless(JobType):
    """Its only step has no share of the progress."""

    name: ClassVar[str] = "weightless_v1"
    asset: ClassVar[str] = "weightless"
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD

    def plan(self, material: Material, params: Params) -> Plan:
        return Plan(steps=(Call("one", lambda bench: bench.progress(0.5), weight=0.0),))


def test_steps_may_be_without_weight(open_platform: Callable[..., Platform], clips: Clips) -> None:
    """All of them: there is just no progress to tell."""
    platform = open_platform(registry=Registry([Weightless()]))
    platform.add(clips.landscape(), Weightless.name)
    (outcome,) = platform.work()
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error


NOWHERE = ffmpeg.Output("nowhere", ("-f", "null"))


class Checked(JobType):
    """Makes a file of two bytes, and looks at it twice."""

    name: ClassVar[str] = "checked_v1"
    asset: ClassVar[str] = "checked"
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    rtf_basis: ClassVar[RtfBasis] = RtfBasis.OUTPUT

    def __init__(self, *faults: str) -> None:
        self._faults = faults

    def plan(self, material: Material, params: Params) -> Plan:
        picture = Command(inputs=(Generated("color=size=16x16:duration=0.1"),), outputs=(NOWHERE,))
        second = Check(picture, lambda folder: self._faults)
        first = Check(picture, lambda folder: [] if (folder / "a.json").read_bytes() != b"{}" else [second])
        made = Output("a.json", f"outputs/{material.subject.id}/a.json", "application/json", literal=b"{}")
        return Plan(outputs=(made,), checks=(first,), notes=("So.",))


def test_an_output_is_checked_and_then_on_record(open_platform: Callable[..., Platform], clips: Clips) -> None:
    """The progress of the checks is that of those which are known; what was published is told to the byte."""
    told: list[float | None] = []

    class Tells(Watcher):
        def progress(self, key: AttemptKey, progress: Progress) -> None:
            told.append(progress.fraction)

    platform = open_platform(registry=Registry([Checked()]))
    upload = platform.add(clips.landscape(), Checked.name)
    (outcome,) = platform.work(Tells())
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    manifest = platform.manifest(upload, Checked.name)
    (key,) = platform.current_keys(upload, Checked.name)
    assert manifest.outputs == (
        OutputRecord(key=key, bytes=2, sha256=hashlib.sha256(b"{}").hexdigest(), media_info=None),
    )
    assert platform.output(key).read_bytes() == b"{}"
    assert manifest.notes == ("So.",)
    assert manifest.metrics.rtf_basis is RtfBasis.OUTPUT
    assert told == pytest.approx([0.92, 0.96, 1.0])


def test_all_that_checks_find_is_said(open_platform: Callable[..., Platform], clips: Clips) -> None:
    """And nothing is published."""
    platform = open_platform(registry=Registry([Checked("it is small", "it is empty")]))
    upload = platform.add(clips.landscape(), Checked.name)
    platform.work()
    (attempt,) = platform.attempts(upload, Checked.name)
    assert attempt.error_code == "OUTPUT_INVALID"
    assert (attempt.error or "").startswith("The output is not what was asked for: it is small; it is empty.")
    assert list(platform.storage.list("outputs/")) == []
