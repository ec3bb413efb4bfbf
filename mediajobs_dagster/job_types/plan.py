"""What a planner returns: the outputs, the steps that make them, and how they are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.media.command import Command
from mediajobs_dagster.models import JsonObject, UploadRole


class Sink(Protocol):
    """Takes the data that a command writes to its standard output, piece by piece."""

    def write(self, data: bytes) -> None:
        """Take the next piece."""
        ...

    def close(self) -> None:
        """There is no more; finish the output file."""
        ...


@dataclass(frozen=True)
class Run:
    """A step that runs ffmpeg. With `sink`, standard output goes to the sink that is opened on the scratch folder."""

    command: Command | Callable[[Path], Command]
    """A function of the scratch folder where the command depends on what earlier steps left there."""
    sink: Callable[[Path], Sink] | None = None
    only_without: str | None = None
    """Run this step only if no earlier one made this file."""
    weight: float = 1.0
    """Its share of the time that all steps take together, as far as it can be foreseen."""


@dataclass(frozen=True)
class Call:
    """A step that is work of our own: it calls a service, or makes files. It is timed as the stage `stage`."""

    stage: str
    work: Callable[[Bench], None]
    deadline_s: float | None = None
    """How long it may take, seconds; None: as long as a job may take (MEDIAJOBS_JOB_TIMEOUT_S)."""
    weight: float = 1.0
    """Its share of the time that all steps take together, as far as it can be foreseen."""


Step = Run | Call


@dataclass(frozen=True)
class Check:
    """A look at what was made: a command, and what is read from the files that it leaves in the scratch folder."""

    command: Command
    judge: Callable[[Path], Iterable[str | Check]]
    """The faults it finds, and further checks where something is suspicious."""


@dataclass(frozen=True)
class Expected:
    """What verification holds an output against. Fields left at None are not checked."""

    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    """What the source declares; an output that differs is no fault, but worth a note."""
    duration_tolerance: float | None = None
    """How far the output's length may be off, seconds."""
    fps: float | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    """The empty string means: no sound at all."""
    is_exact: bool = False
    """Whether the length is a matter of the plan, and one track of each kind is all there may be."""
    is_decodable: bool = True
    """Whether this ffmpeg can decode what it encodes there; if not, nobody looks at how it ends."""


@dataclass(frozen=True)
class Output:
    """One file a plan makes: its name in scratch, and the key it is published under."""

    filename: str
    key: str
    content_type: str
    expected: Expected = field(default_factory=Expected)
    literal: bytes | None = None
    """The whole content, where no step is needed to make it."""
    becomes: UploadRole | None = None
    """Set where the published output is a new upload of that role, with children of its own."""


@dataclass(frozen=True)
class Child:
    """A job to enqueue when this one has succeeded, under the same trace and with this job as its parent."""

    job_type: str
    params: JsonObject = field(default_factory=dict)
    on_result: bool = False
    """Whether the child's subject is the upload that this job's output became, rather than this job's subject."""


@dataclass(frozen=True)
class Plan:
    """Everything an attempt has to do between its source and its outputs."""

    outputs: tuple[Output, ...] | Callable[[Path], tuple[Output, ...]] = ()
    """A function of the scratch folder where the outputs depend on what the steps leave there. May be none at all."""
    steps: tuple[Step, ...] = ()
    """In their order."""
    children: tuple[Child, ...] = ()
    checks: tuple[Check, ...] = ()
    """Made when the outputs have been verified one by one."""
    notes: tuple[str, ...] = ()
    """What a person should know of this plan."""
    scratch_bytes: int | None = None
    """What it will need on disk; None: about as much as its sources."""

    def outputs_in(self, folder: Path) -> tuple[Output, ...]:
        """The outputs, once all steps have been made in the scratch folder `folder`."""
        return self.outputs(folder) if callable(self.outputs) else self.outputs


def result_origin(job_id: str, filename: str) -> str:
    """Where the upload that a job's output became came from."""
    return f"job:{job_id}/{filename}"
