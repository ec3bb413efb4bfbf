"""What every job type tells about itself, and the plan it makes of a source.

A planner is pure: it takes values and returns values, so its tests need neither ffmpeg nor files. A new job type is one
new module in this folder that defines `JOB_TYPE`; the registry finds it, and everything else follows from the registry.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import ValidationError
from typing_extensions import override

from mediajobs_dagster.errors import ParametersError
from mediajobs_dagster.media.command import Command
from mediajobs_dagster.models import Job, JsonObject, MediaInfo, NewJob, Subject, Upload, UploadRole, Value


class Lane(StrEnum):
    """The queue a job type waits in. Light jobs keep a slot of their own, so they never wait behind encodes."""

    LIGHT = "light"
    HEAVY = "heavy"


class Access(StrEnum):
    """How a job type reads its source when the source is not on this machine."""

    WHOLE = "whole"
    """The object is fetched once, and shared with the other jobs of the run."""
    RANGE = "range"
    """ffmpeg reads the few parts it needs, where the object is not on this machine."""


class Params(Value):
    """Parameters of a job type; a job type with parameters has a subclass of its own."""


class Sink(Protocol):
    """Takes the data that a command writes to its standard output, piece by piece."""

    def write(self, data: bytes) -> None:
        """Take the next piece."""
        ...

    def close(self) -> None:
        """There is no more; finish the output file."""
        ...


@dataclass(frozen=True)
class Step:
    """One command of a plan. With `sink`, its standard output goes to the sink that is opened on the scratch folder."""

    command: Command | Callable[[Path], Command]
    """A function of the scratch folder where the command depends on what earlier steps left there."""
    sink: Callable[[Path], Sink] | None = None
    only_without: str | None = None
    """Run this step only if no earlier one made this file."""
    weight: float = 1.0
    """Its share of the time that all steps take together, as far as it can be foreseen."""


@dataclass(frozen=True)
class ScratchFile:
    """A file that the commands of a plan need, and the function of the scratch folder that makes its content."""

    name: str
    content: Callable[[Path], bytes]


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
    """The whole content, where no command is needed to make it."""
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

    outputs: tuple[Output, ...]
    steps: tuple[Step, ...] = ()
    children: tuple[Child, ...] = ()
    files: tuple[ScratchFile, ...] = ()
    """Written before the first step."""
    checks: tuple[Check, ...] = ()
    """Made when the outputs have been verified one by one."""
    notes: tuple[str, ...] = ()
    """What a person should know of this plan."""
    scratch_bytes: int | None = None
    """What it will need on disk; None: about as much as its source."""


SOURCE = "source"
"""The name under which commands know a source in their attempt's folder; numbered, where there are several."""


@dataclass(frozen=True)
class Source:
    """A media file that an attempt reads."""

    upload: Upload
    info: MediaInfo
    name: str = SOURCE
    """What it is called in the scratch folder, and so in commands."""


class ToneMapping(StrEnum):
    """How HDR can be brought down to what every screen shows."""

    SWSCALE = "swscale"
    """By ffmpeg's own scaler, from version 8 on."""
    ZSCALE = "zscale"
    """By the library zimg and the filter `tonemap`."""


@dataclass(frozen=True)
class Capabilities:
    """What the ffmpeg of this machine can do, as far as plans depend on it."""

    tone_mapping: Callable[[], ToneMapping | None] = lambda: None
    """How HDR can be tone-mapped; None: not at all."""
    works: Callable[[str], bool] = lambda _: False
    """Whether an encoder of graphics hardware does encode here: that it is built in says little."""
    decodes: Callable[[str], bool] = lambda _: True
    """Whether pictures in a codec can be decoded."""
    max_pixels: int = 8192 * 8192
    """The largest picture that may be decoded."""


@dataclass(frozen=True)
class Material:
    """What a planner plans from."""

    job: Job
    sources: Mapping[str, Source]
    """By the reference that the subject makes to them; the first is the primary one."""
    timeline: JsonObject | None = None
    """The subject, where it is a timeline."""
    capabilities: Capabilities = field(default_factory=Capabilities)
    attempt_id: str = ""
    """The attempt that the plan is for. The key of an output that becomes an upload is built of it."""

    @property
    def primary(self) -> Source:
        """The source that the attempt's figures are about."""
        return next(iter(self.sources.values()))


@dataclass(frozen=True)
class SourceUse:
    """That a job reads an upload, and how."""

    upload_id: str
    access: Access
    is_image: bool = False
    """Read by Pillow, so it has to be a file, and is not probed as media."""


def result_origin(job_id: str, filename: str) -> str:
    """Where the upload that a job's output became came from."""
    return f"job:{job_id}/{filename}"


class SubjectKind(StrEnum):
    """What jobs of a type are about."""

    UPLOAD = "upload"
    TIMELINE = "timeline"


class RtfBasis(StrEnum):
    """Whose seconds a real-time factor counts."""

    INPUT = "input"
    OUTPUT = "output"


class JobType(ABC):
    """One thing that can be asked for. Subclasses are stateless; the registry holds one instance of each."""

    name: ClassVar[str]
    """What jobs, Dagster jobs and history call it, such as upload_thumb_v1."""
    asset: ClassVar[str]
    """The Dagster asset it makes, a noun."""
    version: ClassVar[int] = 1
    """Raised when the same parameters make another output; outputs of an earlier version are stale."""
    lane: ClassVar[Lane] = Lane.HEAVY
    batch_size: ClassVar[int] = 1
    """Most jobs of one trace that one run works on."""
    threads: ClassVar[int] = 0
    """Threads that its ffmpeg makes good use of: a run works on as many jobs side by side as there are cores for.

    0: as many as there are. Then a run makes one attempt after the other, each with the whole machine.
    """
    params: ClassVar[type[Params]] = Params
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    rtf_basis: ClassVar[RtfBasis] = RtfBasis.INPUT

    @property
    def summary(self) -> str:
        """One line on what it makes: the first line of the class's docstring."""
        return (self.__doc__ or self.name).strip().splitlines()[0]

    @abstractmethod
    def source_uses(self, subject: Subject) -> tuple[SourceUse, ...]:
        """The uploads that a job on this subject reads; the first is the primary one."""

    @abstractmethod
    def etag_of(self, subject: Subject, etags: Mapping[str, str]) -> str:
        """Names the content that outputs are made from, given the etags of what is read, by upload id."""

    @abstractmethod
    def has_made(self, key: str) -> bool:
        """Whether a key is one under which jobs of this type publish."""

    def result_keys(self, job: Job, attempt_id: str) -> tuple[str, ...]:
        """The keys of the outputs of one attempt at a job that become uploads.

        No other attempt publishes under them, so they can be removed at any time when the attempt came to nothing.
        """
        del job, attempt_id
        return ()

    @abstractmethod
    def plan(self, material: Material, params: Params) -> Plan:
        """What to run, and what has to come out. Raises an InputError when a source cannot be used for this."""

    def parse(self, params: Mapping[str, object]) -> Params:
        """Check the parameters of a request; raises ParametersError that lists every fault."""
        try:
            return self.params.model_validate(params)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise ParametersError(f"{self.name} does not take these parameters: {faults}.") from error

    def fingerprint(self, params: Mapping[str, object], etag: str) -> str:
        """What an output was made from. The same fingerprint means the same output: version, parameters, source."""
        basis = [self.name, self.version, self.parse(params).to_json(), etag]
        return hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()[:32]

    def request(
        self,
        subject: Subject,
        *,
        trace_id: str,
        params: Mapping[str, object] | None = None,
        priority: int = 0,
        parent_job_id: str | None = None,
        max_attempts: int = 3,
        anew: bool = False,
        force: bool = False,
    ) -> NewJob:
        """A request to do this on `subject`.

        The same request on the same content is the same job, unless it is made `anew`: then each trace has a job of
        its own. `force` asks anew, and has the output made again even if it is up to date.
        """
        parsed = self.parse(params or {}).to_json()
        key = f"{self.name}/{subject.id}/{self.fingerprint(parsed, subject.etag)}"
        return NewJob(
            job_type=self.name,
            subject_id=subject.id,
            subject_day=subject.created_at.date(),
            trace_id=trace_id,
            params=parsed,
            priority=priority,
            parent_job_id=parent_job_id,
            max_attempts=max_attempts,
            idempotency_key=f"{key}/{trace_id}" if anew or force else key,
            force=force,
        )


class UploadJobType(JobType):
    """A job type whose subject is one upload."""

    access: ClassVar[Access] = Access.WHOLE

    @abstractmethod
    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        """The keys that a job on that upload publishes."""

    @abstractmethod
    def plan_upload(self, source: Source, params: Params) -> Plan:
        """The plan for one upload. Raises an InputError when it cannot be used for this."""

    @override
    def source_uses(self, subject: Subject) -> tuple[SourceUse, ...]:
        return (SourceUse(subject.id, self.access),)

    @override
    def etag_of(self, subject: Subject, etags: Mapping[str, str]) -> str:
        return etags[subject.id]

    @override
    def has_made(self, key: str) -> bool:
        return any(key in self.output_keys(part) for part in key.split("/"))

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        return self.plan_upload(material.primary, params)
