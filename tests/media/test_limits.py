"""What one command may take of its machine: time that follows its input, memory that follows its pictures."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from mediajobs_dagster import errors
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.media.allowance import Allowance
from mediajobs_dagster.media.budget import Budget, MemoryRoom
from mediajobs_dagster.media.command import Command, Generated, Output
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.process import Limits
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import MediaInfo, Progress, VideoStream
from mediajobs_dagster.settings import Settings
from tests.clips import Clips
from tests.media.conftest import Records, decode_all, endless
from tests.processes import ffmpegs_below

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
HOUR = 3600.0

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its memory")


def video(size: int, seconds: float, width: int = 1920, height: int = 1080) -> MediaInfo:
    """A recording of `size` bytes."""
    picture = VideoStream(index=0, codec="h264", width=width, height=height, fps=30.0)
    return MediaInfo(container="mov,mp4", duration_seconds=seconds, bytes=size, video=(picture,))


def busy() -> Command:
    """A command that keeps a core busy and makes nothing."""
    source = Generated("testsrc2=size=1280x720:rate=30:duration=100000")
    return Command((source,), (Output("nothing.mkv", ("-vf", "select=0", "-c:v", "mpeg4")),), media_seconds=100_000)


def encoding() -> Command:
    """A command that makes a long video as fast as it can."""
    source = Generated("testsrc2=size=640x360:rate=30:duration=100000")
    return Command((source,), (Output("long.mkv", ("-c:v", "mpeg4", "-b:v", "50M")),), media_seconds=100_000)


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "least", "most"),
    [
        # Three kilobytes do not hold a day of anything.
        (video(3 * KIB, 86_000, 64, 36), 300, 320),
        (video(46 * KIB, 80_000, 1, 1), 300, 500),
        # A talk of three hours, and one of which a single still slide is seen.
        (video(900 * MIB, 3 * HOUR), 6 * HOUR, 1e9),
        (video(9 * MIB, 3 * HOUR), 6 * HOUR, 1e9),
        (video(60 * GIB, HOUR, 3840, 2160), 6 * HOUR, 1e9),
        # Much data in a second, and a streamed recording that does not say how long it is.
        (video(100 * MIB, 1), 300, 400),
        (video(10 * MIB, 0), HOUR, 1e9),
    ],
)
def test_the_time_follows_size_and_length(info: MediaInfo, least: float, most: float) -> None:
    """Little data gets little time, however long it says it is; so does a short clip, however much data it has."""
    seconds = Allowance(300, (info,)).seconds
    assert seconds is not None
    assert least <= seconds <= most


def test_a_plan_and_a_lane_change_the_time() -> None:
    """A plan knows better how long a render takes; light jobs get a share; without sources nothing is known."""
    source = video(3 * KIB, 86_000)
    assert Allowance(300, (source,), work_s=1000).seconds == 1300
    assert (light := Allowance(300, (source,), share=0.2)).least_s == 60
    assert light.seconds == pytest.approx(62.4)
    assert Allowance(300, work_s=600, share=0.2).seconds == 660  # what a plan asks for is not shared
    assert Allowance(300).seconds is None


def test_time_used_up_at_work_is_the_inputs(runner: Runner, records: Records, tmp_path: Path) -> None:
    """A command that gets on and takes longer than its input allows is stopped, and never tried again."""
    with pytest.raises(errors.InputTooLongError, match="MEDIAJOBS_BASE_TIMEOUT_S"):
        runner.run(encoding(), cwd=tmp_path, report=records, allowance=Allowance(0.5, work_s=0.5))
    assert records.only.status == "INPUT_TOO_LONG"
    assert records.only.duration_ms < 30_000


def test_time_used_up_without_work_is_not_the_inputs(runner: Runner, records: Records, tmp_path: Path) -> None:
    """A command that waits (here for a clock; else for a disk or a network) says nothing about its input."""
    with pytest.raises(errors.DeadlineError):
        runner.run(endless(), cwd=tmp_path, report=records, allowance=Allowance(1, work_s=1))


def test_the_operators_limit_stays_the_operators(runner: Runner, records: Records, tmp_path: Path) -> None:
    """Less time than any input is given was not used up by the input."""
    short = replace(runner, limits=Limits(total_s=0.5))
    with pytest.raises(errors.DeadlineError):
        short.run(encoding(), cwd=tmp_path, report=records, allowance=Allowance(300, work_s=300))


def test_work_that_makes_nothing_is_the_inputs(runner: Runner, records: Records, tmp_path: Path) -> None:
    """A core that is busy for the whole stall limit was given that work by the input."""
    patient = replace(runner, limits=Limits(stall_s=1.5))
    with pytest.raises(errors.InputTooLongError, match="without making anything"):
        patient.run(busy(), cwd=tmp_path, report=records, allowance=Allowance(300, (video(GIB, HOUR),)))
    with pytest.raises(errors.StalledError):  # a render whose encoder looks ahead
        patient.run(busy(), cwd=tmp_path, report=records, allowance=Allowance(300, work_s=300))


def test_a_hang_is_not_the_inputs(runner: Runner, records: Records, tmp_path: Path) -> None:
    """A process that stands still has stalled, whatever it did before."""
    patient = replace(runner, limits=Limits(stall_s=1.5))
    stopped: list[psutil.Process] = []

    def stop(_: Progress) -> None:
        if not stopped:
            stopped.extend(ffmpegs_below(tmp_path))
            stopped[0].suspend()

    allowance = Allowance(300, (video(GIB, HOUR),))
    with pytest.raises(errors.StalledError):
        patient.run(encoding(), cwd=tmp_path, report=records, on_progress=stop, allowance=allowance)


# --- length ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Clips.endless_gif, lambda clips: clips.sparse(100_000)], ids=["gif", "sparse"])
def test_too_long_is_refused(make, runner: Runner, clips: Clips, records: Records, tmp_path: Path) -> None:
    """A file that declares more than a day is refused by its probe; a limit that is raised lets it pass."""
    path = make(clips)
    day = Settings.load(home=tmp_path).max_media_s
    limited = replace(runner, guards=replace(runner.guards, max_seconds=day))
    with pytest.raises(errors.InputTooLongError, match="MEDIAJOBS_MAX_MEDIA_S"):
        probe(limited, str(path), report=records)
    assert path.stat().st_size < 50_000
    assert probe(runner, str(path)).duration_seconds >= 100_000


def test_what_goes_on_too_long_is_stopped(runner: Runner, clips: Clips, records: Records) -> None:
    """What a file declares may be a lie: what is made of it counts."""
    limited = replace(runner, guards=replace(runner.guards, max_seconds=2))
    with pytest.raises(errors.InputTooLongError, match="MEDIAJOBS_MAX_MEDIA_S"):
        limited.run(decode_all(clips.landscape().name), cwd=clips.folder, report=records)


@only_linux
def test_an_output_does_not_grow_without_end(runner: Runner, records: Records, tmp_path: Path) -> None:
    """The kernel ends what writes beyond the limit, and the input is to blame."""
    limited = replace(runner, limits=Limits(output_mb=1))
    with pytest.raises(errors.InputTooLongError, match="MEDIAJOBS_MAX_OUTPUT_MB"):
        limited.run(encoding(), cwd=tmp_path, report=records)
    assert (tmp_path / "long.mkv").stat().st_size <= MIB


# --- memory ----------------------------------------------------------------------------------------------------------


def large_pictures() -> Command:
    """An encode of 8K, which takes more than a gigabyte."""
    source = Generated("color=size=7680x4320:rate=30:duration=10")
    return Command((source,), (Output("out.mp4", ("-c:v", "libx264", "-preset", "slow")),))


@only_linux
def test_a_command_gets_the_memory_of_its_pictures(runner: Runner, records: Records, tmp_path: Path) -> None:
    """One that takes far more than its input's size accounts for is ended, and the input is to blame."""
    limited = replace(runner, largest_bytes=8 * GIB)
    with pytest.raises(errors.InputTooLargeError, match="is granted on this machine"):
        limited.run(large_pictures(), cwd=tmp_path, report=records, allowance=Allowance(300, (video(MIB, 9, 64, 36),)))
    assert (records.only.max_rss_mb or 0) < 600


@only_linux
def test_no_command_gets_all_of_the_machine(runner: Runner, records: Records, tmp_path: Path) -> None:
    """However large its pictures are, a part of the memory stays free."""
    limited = replace(runner, largest_bytes=400 * MIB)
    with pytest.raises(errors.InputTooLargeError):
        limited.run(large_pictures(), cwd=tmp_path, report=records)
    assert (records.only.max_rss_mb or 0) < 400


def test_the_machine_sets_the_limits(tmp_path: Path) -> None:
    """Without any setting, a command is held to a share of the memory that this process was granted."""
    made = Runner.from_settings(Settings.load(home=tmp_path))
    assert made.largest_bytes is not None
    assert 0 < made.largest_bytes < psutil.virtual_memory().total
    budget = Budget(cores=2, memory_bytes=8 * GIB)
    assert budget.room_bytes < budget.largest_command_bytes < 8 * GIB


def test_the_memory_is_reckoned_by_what_is_decoded() -> None:
    """Larger pictures and more threads take more; a light clip stays within what is reckoned for a light job."""
    small, large = video(MIB, 9, 1280, 720), video(MIB, 9, 8000, 8000)
    assert Allowance(300, (small,)).memory(1) == pytest.approx(300 * MIB, rel=0.3)
    assert (Allowance(300, (large,)).memory(1) or 0) > 2 * GIB
    assert (Allowance(300, (large,)).memory(8) or 0) > (Allowance(300, (large,)).memory(1) or 0)
    assert GIB < (Allowance(300, (large,), memory_bytes=GIB).memory(2) or 0) < 1.2 * GIB
    assert Allowance(300).memory(2) is None


def test_commands_wait_for_memory() -> None:
    """Two large ones follow each other, small ones run beside one, and one that is larger than all runs alone."""
    room = MemoryRoom(10)
    first_may_end, second_began, huge_began = threading.Event(), threading.Event(), threading.Event()

    def large() -> None:
        with room.taken(6, Cancellation()):
            second_began.set()

    def huge() -> None:
        with room.taken(1000, Cancellation()):
            huge_began.set()

    with room.taken(6, Cancellation()):
        with room.taken(4, Cancellation()):
            pass
        waiting = [threading.Thread(target=work) for work in (large, huge)]
        for thread in waiting:
            thread.start()
        assert not second_began.wait(0.3)
        first_may_end.set()
    for thread in waiting:
        thread.join(10)
    assert second_began.is_set()
    assert huge_began.is_set()


def test_waiting_for_memory_can_be_cancelled() -> None:
    """Who waits leaves when asked to, and keeps nobody else waiting."""
    room, cancel = MemoryRoom(10), Cancellation()
    with room.taken(10, Cancellation()):
        threading.Timer(0.2, lambda: cancel.cancel(errors.CancelledError())).start()
        began = time.monotonic()
        with pytest.raises(errors.CancelledError), room.taken(1, cancel):
            pass
        assert time.monotonic() - began < 10
    with room.taken(10, Cancellation()):
        pass


@only_linux
def test_a_limit_that_the_worker_was_started_under_is_evidence(tmp_path: Path) -> None:
    """A shell's `ulimit -v` is somebody's limit: what runs into it is not blamed on the input."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mediajobs_dagster.errors import MediaJobsError\n"
        "from mediajobs_dagster.media.command import Guards\n"
        "from mediajobs_dagster.media.run import Runner\n"
        "from mediajobs_dagster.media.tools import find_tools\n"
        "from tests.media.test_limits import large_pictures\n"
        "runner = Runner(find_tools(), Guards(threads=2, max_pixels=10**8))\n"
        "try:\n"
        "    runner.run(large_pictures(), cwd=Path(sys.argv[1]), report=lambda _: None)\n"
        "except MediaJobsError as error:\n"
        "    print(error.code)\n"
    )
    limited = ["sh", "-c", 'ulimit -v 700000 && exec "$@"', "sh", sys.executable, "-c", script, str(tmp_path)]
    answer = subprocess.run(limited, check=True, capture_output=True, text=True)
    assert answer.stdout == "OUT_OF_MEMORY\n"
