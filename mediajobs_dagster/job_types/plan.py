"""What a planner returns: the outputs, the steps that make them, and their checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.media.command import Command
from mediajobs_dagster.models import JsonObject, UploadRole


class Sink(Protocol):
    """Receives a command's standard output, piece by piece."""

    def write(self, data: bytes) -> None:
        """Take the next piece."""
        ...

    def close(self) -> None:
        """Finish the output file; no more data comes."""
        ...


@dataclass(frozen=True)
class Left:
    """What a command left."""

    folder: Path
    """The scratch folder."""
    is_damaged: bool = False
    """Whether a picture that it decoded was damaged."""


@dataclass(frozen=True)
class Run:
    """A step that runs ffmpeg. With `sink`, standard output goes to the sink that it makes for the scratch folder."""

    command: Command | Callable[[Path], Command]
    """A function of the scratch folder if the command depends on the files of earlier steps."""
    sink: Callable[[Path], Sink] | None = None
    then: Callable[[Left], Sequence[Step]] | None = None
    """Further steps, which follow at once: a function of what the command left.

    If the command fails by a fault that may be the input's, they are done in its place. Where there are none, the
    attempt fails of it.
    """
    weight: float = 1.0
    """Its expected time relative to the other steps', for the progress."""


@dataclass(frozen=True)
class Call:
    """A step that runs Python code: it calls a service, or makes files. It is timed as the stage `stage`."""

    stage: str
    work: Callable[[Bench], None]
    then: Callable[[Path], Sequence[Step]] | None = None
    """Further steps, which follow at once: a function of the scratch folder."""
    deadline_s: float | None = None
    """How long it may take, seconds; None: as long as a job may take (MEDIAJOBS_JOB_TIMEOUT_S)."""
    weight: float = 1.0
    """Its expected time relative to the other steps', for the progress."""


Step = Run | Call


@dataclass(frozen=True)
class Check:
    """A check of the outputs: a command, and a judge that reads the files which it leaves in the scratch folder."""

    command: Command
    judge: Callable[[Path], Iterable[str | Check]]
    """Returns the faults, and further checks where something is suspicious."""


@dataclass(frozen=True)
class Expected:
    """What verification expects of an output. Fields that are None are not checked."""

    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    """The length that the source declares. An output of another length is not a fault, but gets a note."""
    duration_tolerance: float | None = None
    """How much its length may differ from that, seconds."""
    fps: float | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    """The empty string means: no sound at all."""
    sound_start: float | None = None
    """When its sound begins, seconds."""
    sound_tolerance: float | None = None
    """How much the length of the sound may differ from what was encoded, seconds."""
    matrix: str | None = None
    """The colour matrix that it is tagged with."""
    frames: int | None = None
    """The number of frames, if the plan fixes it. Then its length is checked too, and it has one track of each kind."""
    is_decodable: bool = True
    """Whether this ffmpeg can decode the output; if not, its end is not checked."""


@dataclass(frozen=True)
class Output:
    """One file a plan makes: its name in scratch, and the key it is published under."""

    filename: str
    key: str
    content_type: str
    expected: Expected = field(default_factory=Expected)
    literal: bytes | None = None
    """The whole content, if no step has to make it."""
    becomes: UploadRole | None = None
    """The role of the upload that the published output becomes; None: it does not become an upload."""
    title: str = ""
    """What that upload is called, before the suffix; empty: as the file."""
    details: JsonObject | None = None
    """What is kept with that upload."""

    @property
    def upload_name(self) -> str:
        """The file name of the upload that it becomes."""
        return f"{self.title}{PurePosixPath(self.filename).suffix}" if self.title else self.filename


@dataclass(frozen=True)
class Child:
    """A job to enqueue when this one succeeds, in the same trace and with this job as its parent."""

    job_type: str
    params: JsonObject = field(default_factory=dict)
    on_result: bool = False
    """Whether the child's subject is the upload that this job's output becomes; if not, it is this job's subject."""


@dataclass(frozen=True)
class Plan:
    """Everything an attempt has to do, from its sources to its outputs."""

    outputs: tuple[Output, ...] | Callable[[Path], tuple[Output, ...]] = ()
    """A function of the scratch folder if the outputs depend on what the steps make. There may be none."""
    steps: tuple[Step, ...] = ()
    """In their order."""
    children: tuple[Child, ...] = ()
    also_wanted: bool = False
    """Whether the uploads that outputs become get the jobs they are good for, as added ones do."""
    checks: tuple[Check, ...] = ()
    """Run after each output has been verified."""
    notes: tuple[str, ...] = ()
    """Notes for the manifest, for people."""
    scratch_bytes: int | None = None
    """How much disk it needs, bytes; None: about as much as its sources."""
    work_s: float | None = None
    """How long one of its commands may take, on top of MEDIAJOBS_BASE_TIMEOUT_S, seconds.

    None: as long as the size and the length of its sources allow. Set it where the length of an output does not follow
    from them, such as a video made of one picture.
    """
    memory_bytes: int | None = None
    """The most memory that one of its commands takes on one thread, bytes; None: what decoding its sources takes."""

    def outputs_in(self, folder: Path) -> tuple[Output, ...]:
        """The outputs, after all steps have run in the scratch folder `folder`."""
        return self.outputs(folder) if callable(self.outputs) else self.outputs
