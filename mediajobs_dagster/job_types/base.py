"""What every job type tells about itself.

A job type has a subject, says what it needs, and plans its steps. A planner is pure: it takes values and returns
values, so its tests need neither ffmpeg nor files. What has to be found out beforehand is the business of `prepare`. A
job type is one module in this folder that defines `JOB_TYPE`, or an entry point of another installed package; the
registry finds either, and everything else follows from the registry.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from pydantic import ValidationError
from typing_extensions import override

from mediajobs_dagster.errors import ParametersError
from mediajobs_dagster.job_types.material import Access, Machine, Material, Source, SourceUse
from mediajobs_dagster.job_types.plan import Plan
from mediajobs_dagster.models import Job, NewJob, RtfBasis, Subject, SubjectKind, Upload, Value
from mediajobs_dagster.resilience.retry import RetryPolicy

FFMPEG = "ffmpeg"
"""What a job type needs that runs ffmpeg."""


class Lane(StrEnum):
    """The queue a job type waits in. Each lane has slots of its own, so none of them waits behind another."""

    LIGHT = "light"
    """Some seconds of work, many side by side."""
    HEAVY = "heavy"
    """All cores for minutes."""
    NETWORK = "network"
    """Waiting for the network, hardly any work for this machine."""


class Params(Value):
    """Parameters of a job type; a job type with parameters has a subclass of its own."""


@dataclass(frozen=True)
class Schedule:
    """When jobs on a tick are asked for."""

    cron: str
    """Five fields, such as `0 3 * * *`."""
    timezone: str = "UTC"
    """A name of the IANA database, such as Europe/Berlin."""
    is_on: bool = True
    """Whether it runs from the start, or waits to be switched on in the Dagster UI."""


class JobType(ABC):
    """One thing that can be asked for. Subclasses are stateless; the registry holds one instance of each."""

    name: ClassVar[str]
    """What jobs, Dagster jobs and history call it, such as upload_thumb_v1."""
    asset: ClassVar[str]
    """The Dagster asset it makes, a noun."""
    version: ClassVar[int] = 1
    """Raised when the same parameters make another output; outputs of an earlier version are stale."""
    lane: ClassVar[Lane] = Lane.HEAVY
    needs: ClassVar[frozenset[str]] = frozenset()
    """What a worker must offer (MEDIAJOBS_OFFERS); one that does not never claims such a job."""
    batch_size: ClassVar[int] = 1
    """Most jobs of one trace that one run works on."""
    threads: ClassVar[int] = 0
    """Threads that its ffmpeg makes good use of: a run works on as many jobs side by side as there are cores for.

    0: as many as there are. Then a run makes one attempt after the other, each with the whole machine.
    """
    params: ClassVar[type[Params]] = Params
    subject: ClassVar[SubjectKind]
    """What jobs of this type are about."""
    schedule: ClassVar[Schedule | None] = None
    """When jobs on a `Tick` are asked for by themselves."""
    rtf_basis: ClassVar[RtfBasis] = RtfBasis.INPUT
    retry: ClassVar[RetryPolicy | None] = None
    """When its failures are tried again; None: as the settings say."""

    def lacking(self, offers: Iterable[str]) -> tuple[str, ...]:
        """What it needs that is not among `offers`."""
        return tuple(sorted(self.needs.difference(offers)))

    @property
    def summary(self) -> str:
        """One line on what it makes: the first line of the class's docstring."""
        return (self.__doc__ or self.name).strip().splitlines()[0]

    def wanted_for(self, upload: Upload) -> bool:
        """Whether an upload gets a job of this type without being asked for it by name."""
        del upload
        return False

    def source_uses(self, subject: Subject) -> tuple[SourceUse, ...]:
        """The uploads that a job on this subject reads; the first is the primary one."""
        del subject
        return ()

    def etag_of(self, subject: Subject, etags: Mapping[str, str]) -> str:
        """Names the content that outputs are made from, given the etags of what is read, by upload id."""
        del etags
        return subject.etag

    def has_made(self, key: str) -> bool:
        """Whether a key is one under which jobs of this type publish."""
        del key
        return False

    def result_keys(self, job: Job, attempt_id: str) -> tuple[str, ...]:
        """The keys of the outputs of one attempt at a job that become uploads.

        No other attempt publishes under them, so they can be removed at any time when the attempt came to nothing.
        """
        del job, attempt_id
        return ()

    def prepare(self, material: Material, params: Params, machine: Machine) -> object:
        """Find out what the plan depends on beside its sources: what this machine can do, how large a text is.

        The planner gets the answer as `material.prepared`. Raises an InputError when a source cannot be used for this.
        """
        del material, params, machine
        return None

    @abstractmethod
    def plan(self, material: Material, params: Params) -> Plan:
        """What to do, and what has to come out: a pure function of values.

        Raises an InputError when a source cannot be used for this.
        """

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
    """A job type whose subject is one upload, and which reads that upload's media."""

    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    needs: ClassVar[frozenset[str]] = frozenset({FFMPEG})
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
