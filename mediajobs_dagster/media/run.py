"""Runs ffmpeg and ffprobe under limits, and reports every command, however it ends."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import (
    CancelledError,
    InputNotMediaError,
    InputTooLongError,
    InternalError,
    MediaJobsError,
)
from mediajobs_dagster.media.allowance import Allowance, memory_of_probe
from mediajobs_dagster.media.budget import MemoryRoom, OomWatch, granted_budget
from mediajobs_dagster.media.command import Command, Guards, address, general_guards, is_remote, source_guards
from mediajobs_dagster.media.diagnosis import diagnose, diagnose_success, failed_allocation_mb
from mediajobs_dagster.media.pipe import Pipe
from mediajobs_dagster.media.process import Child, Limits
from mediajobs_dagster.media.progress import ProgressReader
from mediajobs_dagster.media.stderr import Faults, StderrReader
from mediajobs_dagster.media.tools import Tools, find_tools
from mediajobs_dagster.models import FfmpegCommand, JsonObject, Progress, utc_now
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage.redaction import redact

PROBE_LIMIT_S = 60.0
"""A probe reads a few headers. One that takes longer hangs, perhaps because the file is made for that."""

REQUEST_BYTES = 1 << 20
"""Bytes of a remote input in one request: few round trips for an index, and few bytes too many for a frame."""

_MAX_ANSWER_BYTES = 4 << 20
_LONGEST_ARGUMENT = 120_000
# Only what is used, and no free-form tags: a hostile file can hold megabytes of them.
_PROBED = (
    "format=format_name,start_time,duration,size,bit_rate"
    ":stream=index,codec_type,codec_name,profile,pix_fmt,width,height,sample_aspect_ratio,r_frame_rate,avg_frame_rate"
    ",nb_frames,start_time,duration,bit_rate,has_b_frames,field_order,color_range,color_space,color_transfer"
    ",color_primaries,channels,sample_rate"
    ":stream_disposition=attached_pic,default,forced:stream_tags=rotate,language,DURATION,timecode:stream_side_data=rotation"
    ":frame=stream_index:frame_side_data=rotation:format_tags=timecode"
)
_LOOKED_AT = "%+#4"
"""The packets that a probe decodes: the first four of the file, for what only the pictures themselves tell."""

Report = Callable[[FfmpegCommand], None]
"""Called exactly once for every command, even if it could not be started, before any exception is raised."""


@dataclass(frozen=True)
class Made:
    """The figures of a command that succeeded."""

    out_seconds: float | None
    """Media seconds made; None when ffmpeg reported none."""
    frames: int
    """Frames made."""
    samples: int | None
    """Samples a channel that were encoded of the sound; None: there was none, or ffmpeg did not say."""
    faults: Faults
    """Complaints about the input, too few to refuse it."""


def _within_arguments(command: Command, cwd: Path) -> Command:
    """`command`, its graph in a file if it is longer than Linux lets an argument be."""
    if command.graph is None or len(command.graph) <= _LONGEST_ARGUMENT:
        return command
    name = f"graph-{hashlib.sha256(command.graph.encode()).hexdigest()[:12]}.txt"
    (cwd / name).write_text(command.graph)
    return replace(command, graph_file=name)


@dataclass(frozen=True)
class Runner:
    """Runs commands. One runner may be used from many threads; it only knows how much memory they take together."""

    tools: Tools
    guards: Guards
    limits: Limits = field(default_factory=Limits)
    oom_watch: OomWatch = field(default_factory=OomWatch.of_process)
    largest_bytes: int | None = None
    """The most memory of one command; None: no limit, unless `limits` has one."""
    room: MemoryRoom = field(default_factory=MemoryRoom)
    """The memory of all commands."""

    @classmethod
    def from_settings(cls, settings: Settings, *, concurrency: int = 1) -> Runner:
        """The runner for this machine; `concurrency` commands, side by side, share its cores.

        Raises FfmpegMissingError.
        """
        budget = granted_budget()
        return cls(
            tools=find_tools(settings.ffmpeg_path, settings.ffprobe_path, answers=settings.home / "ffmpeg.json"),
            guards=Guards(
                threads=budget.threads(settings.ffmpeg_threads, concurrency),
                max_pixels=settings.max_pixels,
                max_seconds=settings.max_media_s,
            ),
            limits=Limits(
                stall_s=settings.stall_timeout_s,
                total_s=settings.job_timeout_s,
                memory_mb=settings.ffmpeg_memory_mb,
                output_mb=settings.max_output_mb,
                sample_interval_s=settings.sample_interval_s if settings.metrics else math.inf,
            ),
            largest_bytes=budget.largest_command_bytes,
            room=MemoryRoom(budget.room_bytes),
        )

    def run(
        self,
        command: Command,
        *,
        cwd: Path,
        report: Report,
        on_progress: Callable[[Progress], None] | None = None,
        on_data: Callable[[bytes], None] | None = None,
        on_start: Callable[[tuple[str, ...]], None] | None = None,
        cancel: Cancellation | None = None,
        allowance: Allowance | None = None,
    ) -> Made:
        """Run `command` in the scratch folder `cwd`.

        `on_start` is called with the redacted command before it starts, `on_progress` about twice a second. `on_data`
        gets what goes to standard output, in pieces of up to 1 MiB. `allowance` is what it may take; without it, as
        much as any command may. Raises the error that `diagnosis` finds, InputTruncatedError or InputCorruptError even
        when ffmpeg exited with 0, InputTooLongError, StalledError, DeadlineError, FfmpegMissingError, the error that
        `cancel` was given, and whatever a callback raises. When it returns or raises, no process is left.
        """
        if command.stdout and on_data is None:
            raise ValueError("The command writes to standard output; give on_data to take it.")
        stderr, progress = StderrReader(), ProgressReader(command.media_seconds, on_progress)
        command = _within_arguments(command, cwd)
        arguments = command.arguments(self._guards(remote=command.has_remote_input))
        run = _Recorded("ffmpeg", arguments, stderr, progress, report, self.oom_watch)
        cancel = cancel or Cancellation()
        if on_start:
            on_start(run.argv)
        memory = allowance and allowance.memory(self.guards.threads)
        with (
            self.room.taken(memory or 0, cancel),
            run.child(self.tools.ffmpeg, self._limits(allowance, memory), cancel) as child,
        ):

            def take_progress(data: bytes) -> None:
                if progress.feed(data):
                    child.moved()
                    self._refuse_endless(progress.out_seconds or 0.0)
                if progress.ended:
                    child.look_at_peak()

            def take_data(data: bytes) -> None:
                assert on_data  # checked above
                on_data(data)
                child.moved()  # only now: a slow sink is not ffmpeg's stall

            pipe = Pipe(take_progress)
            exit_code = child.run(
                ("-progress", f"pipe:{pipe.write_end}", *run.arguments),
                cwd=cwd,
                stderr=Pipe(stderr.feed),
                stdout=Pipe(take_data, bulk=True) if command.stdout else None,
                progress=pipe,
            )
            run.raise_if_failed(child, exit_code, input_is_remote=command.has_remote_input)
            refusal = diagnose_success(
                stderr.faults,
                out_seconds=progress.out_seconds,
                expected_seconds=command.media_seconds,
                frames=progress.frames,
                sought=sum("-ss" in part.options for part in command.inputs),
            )
            if refusal:
                raise refusal
            progress.finish()
        return Made(progress.out_seconds, progress.frames, stderr.samples, stderr.faults)

    def probe_json(
        self, source: str, *, cwd: Path | None = None, report: Report | None = None, cancel: Cancellation | None = None
    ) -> JsonObject:
        """What ffprobe says of `source`, a path (relative to `cwd`, if given) or an address.

        Raises as `run` does.
        """
        stderr, answer = StderrReader(), bytearray()
        arguments = (
            *general_guards(verbose=is_remote(source)),
            *source_guards(source, self._guards(remote=is_remote(source))),
            # What a picture tells of itself stands with its key frames; decoding the others takes half of the time.
            *("-threads", "1", "-skip_loop_filter", "all", "-skip_frame", "nokey", "-read_intervals", _LOOKED_AT),
            *("-of", "json", "-show_entries", _PROBED, "-i", address(source)),
        )
        run = _Recorded("ffprobe", arguments, stderr, None, report, self.oom_watch)
        patience = min(PROBE_LIMIT_S, self.limits.total_s)
        limits = replace(
            self._limits(None, memory_of_probe(self.guards.max_pixels)),
            stall_s=patience,
            total_s=patience,
            follow_input=True,
            raised_by=(),
        )
        with run.child(self.tools.ffprobe, limits, cancel) as child:

            def take(data: bytes) -> None:
                answer.extend(data)
                if len(answer) > _MAX_ANSWER_BYTES:
                    raise InputNotMediaError("The input declares more tracks than any media file has.")

            exit_code = child.run(arguments, cwd=cwd, stderr=Pipe(stderr.feed), stdout=Pipe(take))
            run.raise_if_failed(child, exit_code, input_is_remote=is_remote(source))
        return json.loads(answer.decode(errors="replace"))

    def _limits(self, allowance: Allowance | None, memory: int | None) -> Limits:
        """The limits of one command that takes at most `memory` bytes."""
        limits, seconds = self.limits, allowance and allowance.seconds
        if allowance and seconds is not None and limits.total_s >= allowance.least_s:
            is_decoding = allowance.work_s is None
            total_s = min(seconds, limits.total_s)
            limits = replace(limits, total_s=total_s, follow_input=True, makes_something_soon=is_decoding)
        if limits.memory_mb or self.largest_bytes is None:
            return limits
        most = [each for each in (memory, self.largest_bytes) if each is not None]
        return replace(limits, memory_mb=min(most) >> 20, memory_is_configured=False)

    def _refuse_endless(self, out_seconds: float) -> None:
        # What a file declares of its length may be a lie, or nothing.
        if out_seconds > self.guards.max_seconds:
            raise InputTooLongError(
                f"The input goes on after {out_seconds:.0f} s; the limit is {self.guards.max_seconds:.0f} s. Upload it "
                "in parts, or raise MEDIAJOBS_MAX_MEDIA_S."
            )

    def _guards(self, *, remote: bool) -> Guards:
        in_pieces = remote and not self.guards.request_bytes and self.tools.reads_in_pieces
        return replace(self.guards, request_bytes=REQUEST_BYTES) if in_pieces else self.guards


class _Recorded:
    """One command, which is reported when it ends."""

    def __init__(
        self,
        name: str,
        arguments: tuple[str, ...],
        stderr: StderrReader,
        progress: ProgressReader | None,
        report: Report | None,
        oom_watch: OomWatch,
    ) -> None:
        self.arguments = arguments
        self._name = name
        self._stderr = stderr
        self._progress = progress
        self._report = report
        self._oom_watch, self._oom_kills = oom_watch, oom_watch.kills()

    @cached_property
    def argv(self) -> tuple[str, ...]:
        """The command as it may be shown."""
        return _redacted((self._name, *self.arguments))

    @contextmanager
    def child(self, program: Path, limits: Limits, cancel: Cancellation | None) -> Generator[Child]:
        """A child to run inside the block; when the block ends, the command is reported."""
        cancel = cancel or Cancellation()
        cancel.check()
        child = Child(program, self._name, limits, cancel)
        started_at, clock, status = utc_now(), time.monotonic(), "ok"
        try:
            yield child
        except BaseException as error:
            status = _status(error)
            raise
        finally:
            if self._report:
                self._report(self._record(child, started_at, time.monotonic() - clock, status))

    def raise_if_failed(self, child: Child, exit_code: int, *, input_is_remote: bool) -> None:
        """Raise the error that explains the exit code, unless it is 0."""
        self._stderr.close()
        if exit_code:
            raise diagnose(
                self._stderr.text,
                exit_code,
                input_is_remote=input_is_remote,
                oom_evidence=self._oom_watch.kills() > self._oom_kills,
                limit=child.memory_limit_reached(failed_allocation_mb(self._stderr.text)),
            )

    def _record(self, child: Child, started_at: datetime, seconds: float, status: str) -> FfmpegCommand:
        made = self._progress.out_seconds if self._progress else None
        return FfmpegCommand(
            argv=self.argv,
            started_at=started_at,
            duration_ms=round(seconds * 1000),
            exit_code=child.exit_code,
            status=status,
            cpu_seconds=round(child.cpu_seconds, 3),
            max_rss_mb=None if child.max_rss_mb is None else round(child.max_rss_mb, 1),
            speed=round(made / seconds, 3) if made and seconds else None,
            remote_bytes=self._stderr.bytes_read,
            stderr_tail=self._stderr.tail,
            samples=child.samples,
        )


def _redacted(argv: tuple[str, ...]) -> tuple[str, ...]:
    # All at once, which takes a tenth of the time: nothing that is redacted reaches beyond its line.
    whole = redact("\n".join(argv)).split("\n")
    return tuple(whole) if len(whole) == len(argv) else tuple(redact(argument) for argument in argv)


def _status(error: BaseException) -> str:
    if isinstance(error, MediaJobsError):
        return error.code
    # KeyboardInterrupt, and the like that a supervisor raises to make a worker stop.
    return InternalError.code if isinstance(error, Exception) else CancelledError.code
