"""An attempt that has its machine to itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import psutil
import pytest
from typing_extensions import override

from mediajobs_dagster.attempts.alone import machine_turn
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import CancelledError, OutOfMemoryError
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.base import JobType, Params
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Call, Plan, Run
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.media.command import Command, Generated, Output
from mediajobs_dagster.models import AttemptStatus, JobStatus, SubjectKind, new_trace_id
from mediajobs_dagster.records import AttemptKey
from tests.clips import Clips
from tests.history.factories import an_upload
from tests.listeners import Watcher
from tests.platform import Platform


class Someone:
    """Somebody in a thread who holds the machine until told to leave."""

    def __init__(self, folder: Path, *, alone: bool) -> None:
        self.is_in, self.may_leave, self.waits = threading.Event(), threading.Event(), threading.Event()
        self.cancellation = Cancellation()
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._hold, args=(folder, alone), daemon=True)
        self._thread.start()

    def _hold(self, folder: Path, alone: bool) -> None:
        try:
            with machine_turn(folder, self.cancellation, alone=alone, waiting=self._waiting):
                self.is_in.set()
                self.may_leave.wait(30)
        except CancelledError as error:
            self.error = error

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self.waits.set()
        yield

    def leave(self) -> None:
        self.may_leave.set()
        self._thread.join(30)


def test_who_is_alone_waits_for_the_others_and_they_for_him(tmp_path: Path) -> None:
    """Two work side by side; the third is alone, and the fourth comes after it although it could go beside the two."""
    first, second = Someone(tmp_path, alone=False), Someone(tmp_path, alone=False)
    assert first.is_in.wait(30)
    assert second.is_in.wait(30)
    alone = Someone(tmp_path, alone=True)
    assert alone.waits.wait(30)
    late = Someone(tmp_path, alone=False)
    assert late.waits.wait(30)
    first.leave()
    assert not alone.is_in.is_set()
    second.leave()
    assert alone.is_in.wait(30)
    assert not late.is_in.is_set()
    alone.leave()
    assert late.is_in.wait(30)
    late.leave()


def test_who_waits_can_be_cancelled_and_leaves_the_gate_open(tmp_path: Path) -> None:
    busy = Someone(tmp_path, alone=False)
    assert busy.is_in.wait(30)
    alone = Someone(tmp_path, alone=True)
    assert alone.waits.wait(30)
    alone.cancellation.cancel(CancelledError())
    alone.leave()
    assert isinstance(alone.error, CancelledError)
    other = Someone(tmp_path, alone=False)
    assert other.is_in.wait(30)
    for each in (busy, other):
        each.leave()


def test_the_first_attempt_of_a_machine_makes_the_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is locked is for this user alone, and does not stay open."""
    before, home = psutil.Process().num_fds(), tmp_path / "home" / "data"
    for _ in range(2):
        with machine_turn(home, Cancellation(), alone=False):
            pass
    assert caplog.records == []
    assert [path.stat().st_mode & 0o777 for path in home.iterdir()] == [0o600] * 2
    assert psutil.Process().num_fds() == before


def test_where_nothing_can_be_locked_nobody_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "home").write_text("")
    with machine_turn(tmp_path / "home" / "data", Cancellation(), alone=True):
        pass
    assert "cannot wait for each other" in caplog.text


class Greedy(JobType):
    """Runs a command, and then runs out of memory."""

    name: ClassVar[str] = "greedy_v1"
    asset: ClassVar[str] = "greedy"
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    others: ClassVar[list[bool]] = []
    """Whether others had to wait, of each attempt."""

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        picture = Command(
            inputs=(Generated("color=size=16x16:duration=0.1"),), outputs=(Output("nowhere", ("-f", "null")),)
        )
        return Plan(steps=(Run(picture), Call("greed", self._run_out)))

    def _run_out(self, bench: Bench) -> None:
        other = Someone(bench.installation.settings.home, alone=False)
        self.others.append(not other.is_in.wait(0.5))
        other.cancellation.cancel(CancelledError())
        other.leave()
        raise OutOfMemoryError("The process was killed by the kernel: out of memory.")


@pytest.mark.parametrize(("threads", "half"), [(4, 2), (1, 1)])
def test_what_ran_out_of_memory_is_tried_once_more_alone_and_with_fewer_threads(
    open_platform: Callable[..., Platform], threads: int, half: int
) -> None:
    """It runs out again, and is dead although an attempt is left; the record says what was tried."""
    platform = open_platform(registry=Registry([Greedy()]), ffmpeg_threads=threads, max_attempts=5)
    upload = platform.history.uploads.add(an_upload(origin=None))
    platform.history.jobs.enqueue([Greedy().request(upload, trace_id=new_trace_id(), max_attempts=5)])
    Greedy.others.clear()
    platform.work()
    assert platform.job(upload, Greedy.name).status is JobStatus.FAILED
    platform.work()
    assert platform.job(upload, Greedy.name).status is JobStatus.DEAD
    first, second = platform.attempts(upload, Greedy.name)
    assert Greedy.others == [False, True]
    assert (first.threads, second.threads) == (threads, half)
    assert "half of the threads" in (second.error or "")


def test_who_waits_for_the_machine_is_in_a_stage_of_its_own(platform: Platform, clips: Clips) -> None:
    """So that nobody takes the time for that of the work."""
    busy, stages = Someone(platform.settings.home, alone=True), list[str]()

    class Leaves(Watcher):
        @override
        def stage(self, key: AttemptKey, name: str) -> None:
            stages.append(name)
            busy.may_leave.set()

    assert busy.is_in.wait(30)
    platform.add(clips.landscape(), AudioEnvelope.name)
    (outcome,) = platform.work(Leaves())
    busy.leave()
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    assert stages[:2] == ["wait", "check"]
