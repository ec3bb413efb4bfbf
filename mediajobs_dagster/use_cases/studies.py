"""Asks for study guides: whatever a talk needs on its way to one, as a chain of jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mediajobs_dagster.attempts.withdrawal import keys_of
from mediajobs_dagster.errors import NotFoundError, RequestError
from mediajobs_dagster.history import Enqueued, History, JobFilter
from mediajobs_dagster.intake.candidates import Skipped
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import Callback, FollowUp, Job, JobStatus, JsonObject, NewJob, Upload
from mediajobs_dagster.records import JobQueued
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage
from mediajobs_dagster.trace_context import within_trace
from mediajobs_dagster.use_cases.study_plans import INGEST, SILENT, STUDY_GUIDE, TRANSCRIPT, StudyPlan, StudyPlanning

if TYPE_CHECKING:
    from mediajobs_dagster.intake.adding import Added, AddingListener, Inspection
    from mediajobs_dagster.use_cases.ingesting import Ingested


@dataclass(frozen=True)
class Ways:
    """How talks come in: what `MediaJobs` offers for it."""

    find: Callable[[str], Upload]
    """Looks up an upload. Raises NotFoundError and AmbiguousError."""
    add: Callable[..., Added]
    """Adds files."""
    inspect: Callable[..., Inspection]
    """Tells what `add` would do."""
    ingest: Callable[..., Ingested]
    """Asks for videos to be fetched."""
    storage: Callable[[], Storage]
    """Opens the storage."""
    check: Callable[[Callback | str | None], Callback | None]
    """Checks a callback address. Raises CallbackInvalidError."""
    note: Callable[..., None]
    """Records what was done, and by whom."""


@dataclass(frozen=True)
class Guide:
    """The study guide of one talk, as far as it is."""

    title: str
    job: Job
    """The job that makes it; until there is one, the job of the trace that comes before."""
    keys: tuple[str, ...] = ()
    """Of its files in the storage; none until it is there."""
    error_code: str | None = None
    """Why the job failed, if it did."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "title": self.title,
            "jobId": self.job.id,
            "jobType": self.job.job_type,
            "status": self.job.status,
            "errorCode": self.error_code,
            "outputs": list(self.keys),
        }

    @property
    def is_there(self) -> bool:
        """Whether its files are there: made now, or found up to date."""
        return self.job.job_type == STUDY_GUIDE and self.job.status in (JobStatus.COMPLETED, JobStatus.SKIPPED)


@dataclass(frozen=True)
class Studied:
    """The talks for which study guides were asked for."""

    trace_id: str
    jobs: tuple[Enqueued, ...]
    """The first job of each talk; what follows it is in `follow_up`."""
    skipped: tuple[Skipped, ...] = ()

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "traceId": self.trace_id,
            "jobs": [{**each.job.to_json(), "created": each.created} for each in self.jobs],
            "skipped": [asdict(each) for each in self.skipped],
        }


@dataclass(frozen=True)
class Chain:
    """What is made of each talk."""

    registry: Registry
    transcript: Mapping[str, object]
    """Parameters of the transcripts."""
    guide: Mapping[str, object]
    """Parameters of the study guides."""
    force: bool = False

    def check(self) -> None:
        """Raise ParametersError, or RequestError for a job type that is not installed."""
        self.registry[TRANSCRIPT].parse(self.transcript)
        self.registry[STUDY_GUIDE].parse(self.guide)

    def after_fetching(self) -> tuple[FollowUp, ...]:
        """What follows once a video has become an upload."""
        first = FollowUp(job_type=TRANSCRIPT, params=dict(self.transcript), force=self.force)
        return (first, *self.after_transcript())

    def after_transcript(self) -> tuple[FollowUp, ...]:
        """What follows a transcript."""
        return (FollowUp(job_type=STUDY_GUIDE, params=dict(self.guide), force=self.force),)

    def of(self, upload: Upload, *, trace_id: str, priority: int, max_attempts: int) -> NewJob:
        """The first job on an upload."""
        return self.registry[TRANSCRIPT].request(
            upload,
            trace_id=trace_id,
            params=self.transcript,
            priority=priority,
            max_attempts=max_attempts,
            force=self.force,
            follow_up=self.after_transcript(),
        )


@dataclass(frozen=True)
class Talks:
    """What was named: addresses to fetch from, files to add, and uploads that are known."""

    addresses: tuple[str, ...]
    files: tuple[str, ...]
    uploads: tuple[Upload, ...]

    @classmethod
    def named(cls, names: Sequence[str], find: Callable[[str], Upload], *, with_files: bool) -> Talks:
        """Tell them apart; `find` looks up an upload. Raises RequestError for what is nothing of these."""
        addresses, files = list[str](), list[str]()
        uploads = list[Upload]()
        for name in names:
            if name.lower().startswith(("http://", "https://")):
                addresses.append(name)
            elif with_files and (name.startswith("s3://") or _is_there(name)):
                files.append(name)
            else:
                uploads.append(_upload(name, find, with_files=with_files))
        return cls(tuple(addresses), tuple(files), tuple(uploads))


def _is_there(name: str) -> bool:
    try:
        return bool(name) and Path(name).exists()
    except OSError:  # such as a name that is too long for one
        return False


def _upload(name: str, find: Callable[[str], Upload], *, with_files: bool) -> Upload:
    if not name:
        raise RequestError("An empty name is no talk. Name a file, a folder (. is the working one), or an address.")
    try:
        return find(name)
    except NotFoundError as error:
        meant = "a file or folder with talks, an upload" if with_files else "an upload"
        raise RequestError(
            f"There is no {name}. Name {meant}, or an address that begins with https:// or http://."
        ) from error


class Studies:
    """Asks for study guides, and finds those of a trace."""

    def __init__(
        self,
        history: History,
        registry: Registry,
        listeners: Listeners,
        settings: Settings,
        ways: Ways,
    ) -> None:
        """`ways` are how talks come in."""
        self._history, self._registry, self._listeners = history, registry, listeners
        self._settings, self._ways = settings, ways

    def ask(
        self,
        *names: str,
        params: Mapping[str, object] | None = None,
        transcript: Mapping[str, object] | None = None,
        with_files: bool = True,
        limit: int | None = None,
        priority: int = 0,
        force: bool = False,
        trace_id: str | None = None,
        callback: Callback | str | None = None,
        listener: AddingListener | None = None,
    ) -> Studied:
        """Ask for the study guide of each talk, all in one trace, and for what it needs on the way.

        A name is an address (a video, a playlist, a channel), an upload (see `References.upload`) or, unless
        `with_files` is off, a file, a folder or an `s3://` address. `params` are those of `study_guide_v1`,
        `transcript` those of `transcript_v1`. Of a playlist, `limit` videos are taken. What exists and is fresh is not
        made again, unless `force` is set. Raises RequestError, ParametersError, CallbackInvalidError, and what `add`
        and `ingest` raise.
        """
        chain = Chain(self._registry, transcript or {}, params or {}, force=force)
        chain.check()
        told = self._ways.check(callback)
        talks = Talks.named(names, self._ways.find, with_files=with_files)
        with within_trace(trace_id) as trace:
            jobs, skipped = list[Enqueued](), list[Skipped]()
            if talks.addresses:
                found = self._ways.ingest(
                    *talks.addresses,
                    limit=limit,
                    priority=priority,
                    force=force,
                    trace_id=trace,
                    follow_up=chain.after_fetching(),
                    callback=told,
                )
                jobs += [Enqueued(each.job, each.created) for each in found.videos if each.job]
                skipped += [Skipped(each.address, each.error.code, each.error.message) for each in found.refused]
            uploads = list(talks.uploads)
            if talks.files:
                added = self._ways.add(*talks.files, types=(), trace_id=trace, listener=listener)
                heard, silent = audible(added)
                uploads += heard
                skipped += [*added.skipped, *silent]
            jobs += self._enqueue(chain, uploads, trace_id=trace, priority=priority, callback=told)
            if new := sum(each.created for each in jobs):
                self._ways.note("study", ", ".join(names), new, traceId=trace)
        return Studied(trace, tuple(jobs), tuple(skipped))

    def plan(
        self,
        *names: str,
        params: Mapping[str, object] | None = None,
        transcript: Mapping[str, object] | None = None,
        limit: int | None = None,
        force: bool = False,
        listener: AddingListener | None = None,
    ) -> StudyPlan:
        """What `ask` would make with the same arguments, and what is up to date; nothing is changed. Raises as `ask`.

        Sites are asked for the videos of a list, and new files are probed.
        """
        chain = Chain(self._registry, transcript or {}, params or {}, force=force)
        chain.check()
        talks = Talks.named(names, self._ways.find, with_files=True)
        wanted = {TRANSCRIPT: chain.transcript, STUDY_GUIDE: chain.guide}
        planning = StudyPlanning(self._history, self._ways.storage(), self._registry, wanted, force)
        if talks.addresses:
            planning.add_videos(self._ways.ingest(*talks.addresses, limit=limit, force=force, dry_run=True))
        for upload in talks.uploads:
            planning.add_upload(upload)
        if talks.files:
            planning.add_files(self._ways.inspect(*talks.files, types=(), listener=listener))
        return StudyPlan(tuple(planning.talks), tuple(planning.skipped))

    def guides(self, trace_id: str) -> tuple[Guide, ...]:
        """The study guide of each talk of a trace, as far as it is, the first asked for first."""
        of_trace = (JobFilter(trace_id=trace_id, job_type=each) for each in (INGEST, TRANSCRIPT, STUDY_GUIDE))
        jobs = [job for chosen in of_trace for job in self._history.jobs.iterate(chosen)]
        return tuple(guides_of(jobs, self._titles(jobs), self._keys))

    def _enqueue(
        self, chain: Chain, uploads: Sequence[Upload], *, trace_id: str, priority: int, callback: Callback | None
    ) -> list[Enqueued]:
        if callback and uploads:
            self._history.webhook_events.subscribe(callback, trace_id)
        ask = partial(chain.of, trace_id=trace_id, priority=priority, max_attempts=self._settings.max_attempts)
        wanted = [ask(upload) for upload in {each.id: each for each in uploads}.values()]
        enqueued = self._history.jobs.enqueue(wanted)
        self._listeners.tell_all([JobQueued(job=each.job) for each in enqueued if each.created])
        return enqueued

    def _titles(self, jobs: Sequence[Job]) -> dict[str, str]:
        return self._history.naming.of_subjects({job.subject_id for job in jobs})

    def _keys(self, job: Job) -> Sequence[str]:
        made_by = self._history.current.of(job.job_type, job.subject_id)
        return keys_of(made_by) if made_by else ()


def audible(added: Added) -> tuple[list[Upload], list[Skipped]]:
    """Of what was added, the uploads in which something can be heard, and the others."""
    heard, silent = list[Upload](), list[Skipped]()
    for each in added.uploads:
        info = each.upload.media_info
        if info is None or info.audio:
            heard.append(each.upload)
        else:
            silent.append(replace(SILENT, location=each.upload.filename))
    return heard, silent


def guides_of(jobs: Sequence[Job], titles: Mapping[str, str], keys: Callable[[Job], Sequence[str]]) -> Iterator[Guide]:
    """The guide of each talk of a trace: told by the last job of its chain.

    `keys` are those of the outputs of a job that has ended well.
    """
    followed = {job.parent_job_id for job in jobs if job.job_type in (TRANSCRIPT, STUDY_GUIDE)}
    of_chain = (job for job in jobs if job.job_type == STUDY_GUIDE or job.follow_up)
    for job in sorted(of_chain, key=lambda each: each.id):
        if job.id in followed:
            continue
        guide = Guide(titles.get(job.subject_id, job.subject_id), job, error_code=job.error_code)
        yield replace(guide, keys=tuple(keys(job))) if guide.is_there else guide
