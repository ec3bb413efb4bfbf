"""Commands run, end and are put on record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from mediajobs_dagster import errors
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.media.command import STDOUT, Command, Drawing, Generated, Input, Output
from mediajobs_dagster.media.process import Child, Limits
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.media.usage import Usage
from mediajobs_dagster.models import Progress
from mediajobs_dagster.settings import Settings
from tests.clips import Clips
from tests.cpu import cpu_seconds
from tests.media.conftest import Records, endless
from tests.processes import is_gone


def child() -> psutil.Process:
    """The one ffmpeg that is at work for us."""
    (process,) = [each for each in psutil.Process().children() if each.name().startswith("ffmpeg")]
    return process


def once(action: Callable[[], object]) -> Callable[[Progress], None]:
    """A listener to progress that acts at its first call: the command is then surely at work."""
    done: list[bool] = []

    def act(_: Progress) -> None:
        if not done:
            done.append(True)
            action()

    return act


PCM = Output(STDOUT, ("-map", "0:a:0", "-ac", "1", "-ar", "48000", "-f", "f32le"))


# --- ends well -------------------------------------------------------------------------------------------------------


def test_a_command_makes_its_output_and_is_on_record(
    runner: Runner, clips: Clips, records: Records, tmp_path: Path
) -> None:
    """The record has the kernel's figures, and its argv makes the same bytes again in the same folder."""
    (tmp_path / "source").symlink_to(clips.detailed(8))  # long enough for somebody to look at its memory
    encode = Output("out.mkv", ("-c:v", "mpeg4", "-fflags", "+bitexact", "-flags", "+bitexact", "-an"))
    made = runner.run(Command((Input("source"),), (encode,), media_seconds=8), cwd=tmp_path, report=records)
    record = records.only
    assert (record.status, record.exit_code, made.frames) == ("ok", 0, 240)
    assert record.cpu_seconds > 0.02
    assert record.max_rss_mb is not None
    assert 5 < record.max_rss_mb < 1000
    assert record.speed is not None
    assert record.speed == pytest.approx(8 / (record.duration_ms / 1000), rel=0.1)
    first = (tmp_path / "out.mkv").read_bytes()
    assert record.argv[0] == "ffmpeg"
    again = [runner.tools.ffmpeg, *record.argv[1:]]
    subprocess.run(again, cwd=tmp_path, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    assert (tmp_path / "out.mkv").read_bytes() == first
    assert str(tmp_path) not in " ".join(record.argv)


def test_progress_never_falls_and_reaches_one(runner: Runner, clips: Clips, records: Records, tmp_path: Path) -> None:
    """A listener sees fractions that only grow, and 1.0 once the command has ended well."""
    seen: list[Progress] = []
    encode = Output("out.mp4", ("-c:v", "libx264", "-preset", "medium"))
    source = Input(str(clips.detailed(8)))
    runner.run(Command((source,), (encode,), media_seconds=8), cwd=tmp_path, report=records, on_progress=seen.append)
    fractions = [step.fraction for step in seen if step.fraction is not None]
    assert len(fractions) == len(seen) > 2
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert max(fractions[:-1]) < 1.0
    assert seen[-1].out_seconds == pytest.approx(8, abs=0.1)
    assert seen[-1].eta_s == 0
    assert records.only.samples, "a run of seconds is sampled every 0.05 s"
    assert all(sample.rss_mb > 1 for sample in records.only.samples)
    assert max(sample.cpu_pct for sample in records.only.samples) > 20


def test_a_graph_longer_than_an_argument_may_be(runner: Runner, records: Records, tmp_path: Path) -> None:
    """It goes into a file in scratch; Linux takes no argument of more than 128 KiB."""
    graph = "[0:v]" + " " * 130_000 + "trim=end_frame=5[v]"
    source = Generated("testsrc=size=64x36:rate=30:duration=1")
    made = runner.run(
        Command((source,), (Output("out.mkv", ("-map", "[v]", "-c:v", "mpeg4")),), graph=graph),
        cwd=tmp_path,
        report=records,
    )
    assert made.frames == 5
    name = records.only.argv[records.only.argv.index("-/filter_complex") + 1]
    assert (tmp_path / name).read_text() == graph


def test_standard_output_arrives_whole_and_in_large_pieces(runner: Runner, clips: Clips, records: Records) -> None:
    """The sink gets the bytes that a shell's pipe would get, in pieces of up to 1 MiB."""
    command = Command((Input(str(clips.long_audio(120))),), (PCM,), media_seconds=120)
    pieces: list[bytes] = []
    runner.run(command, cwd=clips.folder, report=records, on_data=pieces.append)
    bare = [runner.tools.ffmpeg, *command.arguments(runner.guards)]
    expected = subprocess.run(bare, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
    assert b"".join(pieces) == expected
    assert len(expected) == 120 * 48_000 * 4
    assert {len(piece) for piece in pieces[:-1]} == {1 << 20}


def test_reading_standard_output_costs_little(runner: Runner, clips: Clips, records: Records) -> None:
    """115 MB of PCM through the sink cost this process less than 4 ns of CPU a byte."""
    command = Command((Input(str(clips.long_audio(600))),), (PCM,), media_seconds=600)
    count = 0

    def take(data: bytes) -> None:
        nonlocal count
        count += len(data)

    spent = cpu_seconds(lambda: runner.run(command, cwd=clips.folder, report=records, on_data=take))
    assert count == 600 * 48_000 * 4
    assert spent < 4e-9 * count


def test_a_command_for_a_sink_needs_one(runner: Runner, clips: Clips, records: Records) -> None:
    """Data that nobody takes is a fault of the caller, found before anything starts."""
    with pytest.raises(ValueError, match="on_data"):
        runner.run(Command((Input(str(clips.audio_only())),), (PCM,)), cwd=clips.folder, report=records)
    assert records.commands == []


def test_the_settings_make_a_runner(tmp_path: Path) -> None:
    """Limits, threads and pixels come from the settings."""
    settings = Settings.load(home=tmp_path, ffmpeg_threads=3, max_pixels=7, stall_timeout_s=5, ffmpeg_memory_mb=9)
    made = Runner.from_settings(settings)
    assert (made.guards.threads, made.guards.max_pixels) == (3, 7)
    assert (made.limits.stall_s, made.limits.memory_mb) == (5, 9)


def test_a_drawing_is_laid_over_a_picture(runner: Runner, clips: Clips, records: Records, tmp_path: Path) -> None:
    """An opaque red square, drawn as PAM, covers the corner of every frame and nothing else."""
    header = "P7\nWIDTH 64\nHEIGHT 64\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    (tmp_path / "square.pam").write_bytes(header.encode() + b"\xff\x00\x00\xff" * 64 * 64)
    command = Command(
        (Generated("color=white:size=128x64:rate=10:duration=1"), Drawing("square.pam")),
        (Output(STDOUT, ("-map", "[v]", "-f", "rawvideo", "-pix_fmt", "rgb24")),),
        graph="[0:v][1:v]overlay=0:0[v]",
    )
    pieces: list[bytes] = []
    runner.run(command, cwd=tmp_path, report=records, on_data=pieces.append)
    frames = np.frombuffer(b"".join(pieces), np.uint8).reshape(10, 64, 128, 3)
    assert np.abs(frames[:, 8:56, 8:56].astype(int) - (255, 0, 0)).max() < 12
    assert frames[:, 8:56, 72:120].min() > 243


# --- does not end ----------------------------------------------------------------------------------------------------


def test_a_stopped_process_is_a_stall(runner: Runner, records: Records, tmp_path: Path) -> None:
    """A process that hangs is killed soon after the stall limit, though it would ignore a polite signal."""
    limited = replace(runner, limits=Limits(stall_s=5))
    stopped: list[float] = []

    def stop() -> None:
        child().suspend()
        stopped.append(time.monotonic())

    with pytest.raises(errors.StalledError, match="no progress for 5 s"):
        limited.run(endless(), cwd=tmp_path, report=records, on_progress=once(stop))
    assert time.monotonic() - stopped[0] < 40, "far from the hour that it would take"
    assert (records.only.status, records.only.exit_code) == ("STALLED", -signal.SIGKILL)


def test_an_input_that_never_comes_is_a_stall(runner: Runner, records: Records, tmp_path: Path) -> None:
    """A source that cannot even be opened, here a pipe that nobody writes, ends at the stall limit."""
    os.mkfifo(tmp_path / "source")
    limited = replace(runner, limits=Limits(stall_s=0.5))
    with pytest.raises(errors.StalledError):
        limited.run(Command((Input("source"),), (Output("out.mp4"),)), cwd=tmp_path, report=records)
    assert records.only.status == "STALLED"


def test_progress_does_not_save_from_the_total_limit(runner: Runner, records: Records, tmp_path: Path) -> None:
    """A command that gets on but takes too long ends as TIMEOUT."""
    limited = replace(runner, limits=Limits(total_s=1))
    with pytest.raises(errors.DeadlineError, match="MEDIAJOBS_JOB_TIMEOUT_S"):
        limited.run(endless(), cwd=tmp_path, report=records)
    assert records.only.status == "TIMEOUT"
    assert 1000 <= records.only.duration_ms < 30_000, "far from the hour that it would take"


# --- is ended --------------------------------------------------------------------------------------------------------


def test_a_foreign_kill_is_named_and_keeps_its_figures(runner: Runner, records: Records, tmp_path: Path) -> None:
    """A command killed from outside is FFMPEG_KILLED, with the CPU and the peak of memory that it really used."""
    before = b"\1" * (300 << 20)  # our own peak must not be taken for the child's
    del before
    seen: list[tuple[float, float, float]] = []

    def look_and_kill_later(_: Progress) -> None:
        process = child()
        if not seen:
            times = process.cpu_times()
            seen.append((time.monotonic(), times.user + times.system, process.memory_info().rss / 2**20))
        elif time.monotonic() > seen[0][0] + 0.1:  # the runner has looked since
            process.kill()

    slow = Output("out.mp4", ("-c:v", "libx264", "-preset", "veryslow"))
    encode = Command((Generated("testsrc2=size=640x360:rate=30:duration=3600"),), (slow,), media_seconds=3600)
    with pytest.raises(errors.FfmpegKilledError, match="SIGKILL"):
        runner.run(encode, cwd=tmp_path, report=records, on_progress=look_and_kill_later)
    ((_, seconds, memory_mb),) = seen
    record = records.only
    assert (record.status, record.exit_code) == ("FFMPEG_KILLED", -signal.SIGKILL)
    assert record.cpu_seconds >= seconds > 0
    if sys.platform == "linux":
        assert record.max_rss_mb is not None
        assert 0.9 * memory_mb <= record.max_rss_mb < 290


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGXCPU", "SIGHUP"])
def test_a_polite_foreign_signal_is_named_too(name: str, runner: Runner, records: Records, tmp_path: Path) -> None:
    """ffmpeg catches some of them and ends with an exit code; each is a kill all the same."""
    number = signal.Signals[name]
    with pytest.raises(errors.FfmpegKilledError, match=name):
        runner.run(endless(), cwd=tmp_path, report=records, on_progress=once(lambda: child().send_signal(number)))
    assert records.only.status == "FFMPEG_KILLED"


def test_cancelling_ends_the_whole_process_group(runner: Runner, records: Records, tmp_path: Path) -> None:
    """The token's own error comes out, quickly, with one report; a helper that shuns SIGTERM dies too."""
    script = tmp_path / "stubborn"
    script.write_text(f"#!/bin/sh\ntrap '' TERM\nsleep 600 &\necho $! > helper\n{runner.tools.ffmpeg} \"$@\"\n")
    script.chmod(0o755)
    stubborn = replace(runner, tools=replace(runner.tools, ffmpeg=script))
    cancel, working, cancelled_at = Cancellation(), threading.Event(), []

    def cancel_soon() -> None:
        working.wait(60)
        cancelled_at.append(time.monotonic())
        cancel.cancel(errors.WorkerLostError("lost"))

    canceller = threading.Thread(target=cancel_soon)
    canceller.start()
    with pytest.raises(errors.WorkerLostError, match="lost"):
        stubborn.run(endless(), cwd=tmp_path, report=records, on_progress=once(working.set), cancel=cancel)
    took = time.monotonic() - cancelled_at[0]
    canceller.join()
    assert took < 20, "far from the ten minutes that the helper would take"
    assert records.only.status == "WORKER_LOST"
    helper = int((tmp_path / "helper").read_text())
    # It is no child of ours: nobody here can wait for it, and the kernel may take a moment to carry its end out.
    deadline = time.monotonic() + 60
    while not _is_gone(helper) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _is_gone(helper)


def test_a_cancelled_token_starts_nothing(runner: Runner, records: Records, tmp_path: Path) -> None:
    """Work cancelled before its command has nothing to report."""
    cancel = Cancellation()
    cancel.cancel(errors.CancelledError())
    with pytest.raises(errors.CancelledError):
        runner.run(endless(), cwd=tmp_path, report=records, cancel=cancel)
    assert records.commands == []


def test_an_interrupt_leaves_no_process(runner: Runner, records: Records, tmp_path: Path) -> None:
    """Ctrl-C in the worker passes through, after the process is gone and on record."""
    pids: list[int] = []

    def interrupt() -> None:
        pids.append(child().pid)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        runner.run(endless(), cwd=tmp_path, report=records, on_progress=once(interrupt))
    assert records.only.status == "CANCELLED"
    assert not psutil.pid_exists(pids[0])


def test_a_sink_that_fails_ends_the_command(runner: Runner, clips: Clips, records: Records) -> None:
    """An exception of the sink comes out as it is, with the process gone and on record."""

    def refuse(_: bytes) -> None:
        raise ZeroDivisionError

    command = Command((Input(str(clips.long_audio(120))),), (PCM,))
    with pytest.raises(ZeroDivisionError):
        runner.run(command, cwd=clips.folder, report=records, on_data=refuse)
    assert records.only.status == "INTERNAL_ERROR"


# --- the machine is at fault -----------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")
def test_the_memory_limit_ends_in_out_of_memory(runner: Runner, records: Records, tmp_path: Path) -> None:
    """An ffmpeg that wants more memory than it may have says so, and the code is OUT_OF_MEMORY."""
    limited = replace(runner, limits=Limits(memory_mb=400))
    # The encoder keeps more and more pictures, until one does not fit: long enough for its memory to be seen.
    source = Generated("color=size=1920x1080:rate=30:duration=30")
    encode = Output("out.mp4", ("-c:v", "libx264", "-preset", "slow", "-x264-params", "rc-lookahead=250"))
    with pytest.raises(errors.OutOfMemoryError):
        limited.run(Command((source,), (encode,)), cwd=tmp_path, report=records)
    assert records.only.status == "OUT_OF_MEMORY"
    assert records.only.max_rss_mb is not None
    assert records.only.max_rss_mb < 400


@pytest.mark.parametrize(
    ("wanted_mb", "is_configured", "is_met"),
    [(82, True, True), (300, True, False), (300, False, True), (500, False, False), (None, True, False)],
)
def test_memory_that_was_not_seen_counts_where_what_was_wanted_is_small(
    wanted_mb: float | None, is_configured: bool, is_met: bool
) -> None:
    """What ended within milliseconds was not looked at: what it was refused tells whether a limit was met."""
    limits = Limits(memory_mb=400, memory_is_configured=is_configured)
    child = Child(Path("ffmpeg"), "ffmpeg", limits, Cancellation())
    met = child.memory_limit_reached(wanted_mb)
    assert (met is not None and met.mb == 400) is is_met


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_named(runner: Runner, clips: Clips, records: Records, tmp_path: Path) -> None:
    """A write that finds no space is DISK_FULL, not a fault of the file."""
    full = tmp_path / "full"
    full.symlink_to("/dev/full")  # who removes the output does not remove the device
    copy = Output(str(full), ("-c", "copy", "-f", "mpegts"))
    with pytest.raises(errors.DiskFullError):
        runner.run(Command((Input(str(clips.landscape())),), (copy,)), cwd=clips.folder, report=records)
    assert records.only.status == "DISK_FULL"


def test_a_program_that_cannot_start_is_on_record(runner: Runner, records: Records, tmp_path: Path) -> None:
    """Even a command that never started is reported, without an exit code."""
    gone = replace(runner, tools=replace(runner.tools, ffmpeg=tmp_path / "gone"))
    with pytest.raises(errors.FfmpegMissingError):
        gone.run(endless(), cwd=tmp_path, report=records)
    assert (records.only.status, records.only.exit_code) == ("FFMPEG_MISSING", None)


def test_a_failure_that_is_not_understood_says_ffmpegs_last_words(
    runner: Runner, clips: Clips, records: Records, tmp_path: Path
) -> None:
    """The message of FFMPEG_FAILED holds the line that says why; the record holds the tail."""
    nonsense = Output("out.mp4", ("-vf", "nonsense"))
    with pytest.raises(errors.FfmpegFailedError, match="No such filter: 'nonsense'"):
        runner.run(Command((Input(str(clips.landscape())),), (nonsense,)), cwd=tmp_path, report=records)
    assert "No such filter: 'nonsense'" in records.only.stderr_tail


def test_credentials_do_not_reach_the_process(
    runner: Runner, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostile file that takes ffmpeg over finds no keys in its environment."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    seen: list[dict[str, str]] = []

    def look_and_end() -> None:
        seen.append(child().environ())
        raise errors.CancelledError

    with pytest.raises(errors.CancelledError):
        runner.run(endless(), cwd=tmp_path, report=records, on_progress=once(look_and_end))
    assert "PATH" in seen[0]
    assert "AWS_SECRET_ACCESS_KEY" not in seen[0]


def test_a_long_run_keeps_a_short_curve() -> None:
    """However many samples are taken, about a hundred are kept, spread over the whole run."""
    usage = Usage(os.getpid(), sample_interval_s=1e-6)
    for _ in range(2000):
        usage.look()
    seconds = [sample.seconds for sample in usage.samples]
    assert 30 <= len(seconds) <= 120
    assert seconds == sorted(seconds)


def test_the_peak_of_a_process_nobody_saw_is_unknown() -> None:
    """What is over before the first look is not said to have used the memory of its parent."""
    before = b"\1" * (300 << 20)
    del before
    process = subprocess.Popen(["true"])
    usage = Usage(process.pid, sample_interval_s=1)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, not yet collected: there is nothing to look at
    usage.look()
    _, code, total = os.wait4(process.pid, 0)
    process.returncode = code
    usage.close(total)
    assert usage.max_rss_mb is None


def _is_gone(pid: int) -> bool:
    """Whether there is no such process, or one that is dead but not yet collected by its new parent."""
    return not psutil.pid_exists(pid) or is_gone(psutil.Process(pid))
