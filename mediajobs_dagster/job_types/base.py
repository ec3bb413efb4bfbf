"""The base class of job types.

A job type has a subject, says what it needs, and plans its steps. A planner is pure: it takes values and returns
values, so its tests need neither ffmpeg nor files. `prepare` finds out beforehand what the plan depends on. A job type
is a module of this folder that defines `JOB_TYPE`, or an entry point of another installed package. The registry finds
both, and Dagster's definitions and the command line are made from the registry.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json
from typing_extensions import override

from mediajobs_dagster.cron import ScheduleChange
from mediajobs_dagster.errors import ParametersError
from mediajobs_dagster.fault_lists import listed, overlong
from mediajobs_dagster.job_types.material import Access, Machine, Material, OutputUse, Source, SourceUse
from mediajobs_dagster.job_types.plan import Plan
from mediajobs_dagster.models import FollowUp, Job, NewJob, RtfBasis, Subject, SubjectKind, Upload, Value
from mediajobs_dagster.resilience.retry import RetryPolicy
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage.keys import without_attempt

MAX_ITEMS = 10_000
"""The longest list in the parameters of a job."""
FFMPEG = "ffmpeg"
"""In `JobType.needs`: the job type runs ffmpeg."""


class Lane(StrEnum):
    """The queue a job type waits in. Each lane has its own slots, so no lane waits for another."""

    LIGHT = "light"
    """Jobs of a few seconds, many at once."""
    HEAVY = "heavy"
    """Jobs that use all cores for minutes."""
    NETWORK = "network"
    """Jobs that wait for the network and hardly use this machine."""


class Params(Value):
    """The parameters of a job type. A job type that has some defines a subclass."""


@dataclass(frozen=True)
class Schedule:
    """When jobs on a `Tick` are enqueued."""

    cron: str
    """Five fields, such as `0 3 * * *`."""
    timezone: str = "UTC"
    """A name of the IANA database, such as Europe/Berlin."""
    is_on: bool = True
    """Whether it is on from the start; if not, settings or the Dagster UI can switch it on."""


class JobType(ABC):
    """One type of job. Subclasses are stateless; the registry holds one instance of each."""

    name: ClassVar[str]
    """Its name in requests, in Dagster and in the history, such as upload_thumb_v1."""
    asset: ClassVar[str]
    """The Dagster asset it makes, a noun."""
    version: ClassVar[int] = 1
    """Increase it when the same parameters make a different output; outputs of earlier versions are stale then."""
    lane: ClassVar[Lane] = Lane.HEAVY
    needs: ClassVar[frozenset[str]] = frozenset()
    """What a worker must offer (MEDIAJOBS_OFFERS) to get such a job."""
    batch_size: ClassVar[int] = 1
    """How many jobs of one trace a run gets at most."""
    threads: ClassVar[int] = 0
    """How many threads its ffmpeg makes good use of. A run makes as many attempts at once as the cores allow.

    0: all cores. Then a run makes one attempt after the other, each with the whole machine.
    """
    params: ClassVar[type[Params]] = Params
    subject: ClassVar[SubjectKind]
    """The kind of subject that jobs of this type have."""
    reads: ClassVar[tuple[OutputUse, ...]] = ()
    """What it reads of the current outputs of other job types on the same subject.

    They are fetched into the scratch folder, and the output is stale once they are made anew. Without them an attempt
    fails with PrerequisiteMissingError.
    """
    ops: ClassVar[tuple[str, ...]] = ()
    """The stages of its calls that are ops of their own in Dagster, in their order; empty: one op does all."""
    keeps_checkpoints: ClassVar[bool] = False
    """Whether its steps keep results for further attempts (`Bench.checkpoints`). A success removes them."""
    schedule: ClassVar[Schedule | None] = None
    """When jobs are enqueued automatically; only for types whose subject is a `Tick`. Settings can change it."""
    rtf_basis: ClassVar[RtfBasis] = RtfBasis.INPUT
    retry: ClassVar[RetryPolicy | None] = None
    """When a failed job is tried again; None: as the settings say."""

    def lacking(self, offers: Iterable[str]) -> tuple[str, ...]:
        """The needs that are not among `offers`."""
        return tuple(sorted(self.needs.difference(offers)))

    @property
    def summary(self) -> str:
        """What it makes, in one line: the first line of the class's docstring."""
        return (self.__doc__ or self.name).strip().splitlines()[0]

    def is_configured(self, settings: Settings) -> bool:
        """Whether the settings name what its jobs work on. If not, its schedule is off until it is switched on."""
        del settings
        return True

    def check_settings(self, settings: Settings) -> None:
        """Raise JobSettingsError if its jobs could do nothing, or not all, with these settings; asks nobody.

        `mediajobs run` does so before it queues one, `doctor` and the daemon if the type `is_configured`.
        """
        del settings

    def schedule_in(self, settings: Settings) -> Schedule | None:
        """Its schedule as the settings have it: MEDIAJOBS_SCHEDULES changes it, MEDIAJOBS_TIMEZONE moves it."""
        if self.schedule is None:
            return None
        change = settings.schedule_changes.get(self.name, ScheduleChange(self.name))
        return replace(
            self.schedule,
            cron=change.cron or self.schedule.cron,
            timezone=change.timezone or settings.timezone or self.schedule.timezone,
            is_on=self.schedule.is_on and self.is_configured(settings) if change.is_on is None else change.is_on,
        )

    def wanted_for(self, upload: Upload) -> bool:
        """Whether adding an upload enqueues a job of this type when no types are named."""
        del upload
        return False

    def gets(self, upload: Upload) -> bool:
        """Whether an upload gets a job of this type by itself: it is wanted, and it is no image."""
        is_image = upload.media_info is not None and upload.media_info.is_image
        return not is_image and self.wanted_for(upload)

    def quota_needed(self, settings: Settings) -> Mapping[str, int]:
        """Units of services' quotas without which a job would be of no use, by the names of the buckets.

        While fewer are left, no job of this type is started: one on a tick ends as skipped, any other waits for the
        reset. See `resilience/quota.py`.
        """
        del settings
        return {}

    def measured_names(self, settings: Settings) -> Iterable[str]:
        """Names that metrics tell apart beside the usual ones: stages of its calls, services and what is asked of them.

        Whatever is not among those of some job type is counted as `other`. So name only what comes from code or
        settings, never anything of a user.
        """
        del settings
        return ()

    def source_uses(self, subject: Subject) -> tuple[SourceUse, ...]:
        """The uploads that a job on this subject reads; the first is the primary one."""
        del subject
        return ()

    def etag_of(self, subject: Subject, etags: Mapping[str, str]) -> str:
        """Identifies the content that outputs are made from. `etags` are those of the sources, by upload id."""
        del etags
        return subject.etag

    def has_made(self, key: str) -> bool:
        """Whether jobs of this type publish under keys like `key`."""
        del key
        return False

    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        """The keys of a job's outputs on that subject, without the id of the attempt, which comes before the file name.

        What a killed worker published under them is removed at once. Outputs that are not listed are found later, by
        the sweep of the storage.
        """
        del subject_id
        return ()

    def result_keys(self, job: Job, attempt_id: str) -> tuple[str, ...]:
        """The keys of one attempt's outputs that become uploads.

        No other attempt publishes under them. So if the attempt fails, they can be removed at any time.
        """
        del job, attempt_id
        return ()

    def prepare(self, material: Material, params: Params, machine: Machine) -> object:
        """Find out what the plan depends on besides its sources, such as what this machine can do.

        The planner gets the result as `material.prepared`. Raises an InputError when a source cannot be used.
        """
        del material, params, machine
        return None

    def rehearsal(self, clip: Upload) -> Subject | None:
        """The subject of a trial job on `clip`, a test clip of 1 s with picture and sound; None: there is no trial.

        When a job fails and no message says why, the same work is tried on the clip. If it succeeds, the job's input is
        at fault. Do not override this if the steps call services or have other effects.
        """
        del clip
        return None

    @abstractmethod
    def plan(self, material: Material, params: Params) -> Plan:
        """The steps, and the outputs they have to make; a pure function of values.

        Raises an InputError when a source cannot be used.
        """

    def parse(self, params: Mapping[str, object]) -> Params:
        """Check the parameters of a request: each has to have the type that its schema says, in Python or in JSON.

        Raises a ParametersError that lists the faults.
        """
        if large := [f"{path} {fault}" for path, fault in overlong(dict(params), MAX_ITEMS, "params")]:
            raise ParametersError(f"{self.name} does not take these parameters: {listed(large)}.")
        try:
            return self.params.model_validate_json(to_json(params, inf_nan_mode="constants"), strict=True)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            faults = listed(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in found)
            raise ParametersError(f"{self.name} does not take these parameters: {faults}.") from error
        except (PydanticSerializationError, UnicodeError) as error:
            raise ParametersError(f"{self.name} takes parameters that JSON can hold: {error}.") from error

    def fingerprint(self, params: Mapping[str, object], etag: str) -> str:
        """A digest of version, parameters and content. The same fingerprint means the same output."""
        basis = [self.name, self.version, self.parse(params).to_json(), etag]
        return hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()[:32]

    def key(self, subject_id: str, fingerprint: str) -> str:
        """How the idempotency key begins of every job on that subject whose outputs have that fingerprint."""
        return f"{self.name}/{subject_id}/{fingerprint}"

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
        follow_up: Sequence[FollowUp] = (),
    ) -> NewJob:
        """A request for a job of this type on `subject`.

        The same request on the same content is the same job. With `anew`, each trace gets its own job. `force` implies
        `anew`, and makes the output again even if it is up to date. So does `follow_up`, what is to be done next: a job
        that was asked for before would not have it.
        """
        parsed = self.parse(params or {}).to_json()
        key = self.key(subject.id, self.fingerprint(parsed, subject.etag))
        return NewJob(
            job_type=self.name,
            subject_id=subject.id,
            subject_day=subject.created_at.date(),
            trace_id=trace_id,
            params=parsed,
            priority=priority,
            parent_job_id=parent_job_id,
            max_attempts=max_attempts,
            idempotency_key=f"{key}/{trace_id}" if anew or force or follow_up else key,
            force=force,
            follow_up=tuple(follow_up),
        )


class UploadJobType(JobType):
    """A job type whose subject is one upload, whose media it reads."""

    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    needs: ClassVar[frozenset[str]] = frozenset({FFMPEG})
    access: ClassVar[Access] = Access.WHOLE

    @abstractmethod
    @override
    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        """The keys of a job's outputs on that upload, without the id of the attempt."""

    @abstractmethod
    def plan_upload(self, source: Source, params: Params) -> Plan:
        """The plan for one upload. Raises an InputError when the upload cannot be used."""

    def source_uses(self, subject: Subject) -> tuple[SourceUse, ...]:
        return (SourceUse(subject.id, self.access),)

    @override
    def etag_of(self, subject: Subject, etags: Mapping[str, str]) -> str:
        return etags[subject.id]

    @override
    def has_made(self, key: str) -> bool:
        without_id = without_attempt(key)
        made = (self.output_keys(part) for part in key.split("/"))
        return any(key in keys or without_id in keys for keys in made)

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        return self.plan_upload(material.primary, params)
