"""What every job type tells about itself, and the plan it makes of a source.

A planner is pure: it takes values and returns values, so its tests need neither ffmpeg nor files. A new job type is one
new module in this folder that defines `JOB_TYPE`; the registry finds it, and everything else follows from the registry.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import ValidationError

from mediajobs_dagster.errors import ParametersError
from mediajobs_dagster.media.command import Command
from mediajobs_dagster.models import JsonObject, MediaInfo, NewJob, Upload, UploadRole, Value


class Lane(StrEnum):
    """The queue a job type waits in. Light jobs keep a slot of their own, so they never wait behind encodes."""

    LIGHT = "light"
    HEAVY = "heavy"


class Access(StrEnum):
    """How a job type reads its source when the source is not on this machine."""

    WHOLE = "whole"
    """The object is fetched once, and shared with the other jobs of the run."""
    RANGE = "range"
    """ffmpeg reads the few parts it needs straight from the storage."""


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

    command: Command
    sink: Callable[[Path], Sink] | None = None
    only_without: str | None = None
    """Run this step only if no earlier one made this file."""


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


@dataclass(frozen=True)
class Source:
    """What a planner plans from."""

    upload: Upload
    info: MediaInfo


class JobType(ABC):
    """One thing that can be asked for. Subclasses are stateless; the registry holds one instance of each."""

    name: ClassVar[str]
    """What jobs, Dagster jobs and history call it, such as upload_thumb_v1."""
    asset: ClassVar[str]
    """The Dagster asset it makes, a noun."""
    version: ClassVar[int] = 1
    """Raised when the same parameters make another output; outputs of an earlier version are stale."""
    lane: ClassVar[Lane] = Lane.HEAVY
    access: ClassVar[Access] = Access.WHOLE
    batch_size: ClassVar[int] = 1
    """Most jobs of one trace that one run works on."""
    params: ClassVar[type[Params]] = Params

    @property
    def summary(self) -> str:
        """One line on what it makes: the first line of the class's docstring."""
        return (self.__doc__ or self.name).strip().splitlines()[0]

    @abstractmethod
    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        """The keys that a job on that subject publishes."""

    @abstractmethod
    def plan(self, source: Source, params: Params) -> Plan:
        """What to run, and what has to come out. Raises an InputError when the source cannot be used for this."""

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
        upload: Upload,
        *,
        trace_id: str,
        params: Mapping[str, object] | None = None,
        priority: int = 0,
        parent_job_id: str | None = None,
        max_attempts: int = 3,
        anew: bool = False,
        force: bool = False,
    ) -> NewJob:
        """A request to do this on `upload`.

        The same request on the same content is the same job, unless it is made `anew`: then each trace has a job of
        its own. `force` asks anew, and has the output made again even if it is up to date.
        """
        parsed = self.parse(params or {}).to_json()
        key = f"{self.name}/{upload.id}/{self.fingerprint(parsed, upload.etag)}"
        return NewJob(
            job_type=self.name,
            subject_id=upload.id,
            subject_day=upload.created_at.date(),
            trace_id=trace_id,
            params=parsed,
            priority=priority,
            parent_job_id=parent_job_id,
            max_attempts=max_attempts,
            idempotency_key=f"{key}/{trace_id}" if anew or force else key,
            force=force,
        )
