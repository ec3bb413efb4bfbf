"""The root: opens what a process works with, and holds the use cases.

The command line, sensors, runs and your own programs all work through `MediaJobs`. Its methods take and return frozen
values. The JSON that programs get is the `to_json` of these values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from mediajobs_dagster.attempts.once import Once
from mediajobs_dagster.errors import MediaJobsError, RequestError, SettingsError, StorageError, StorageMissingError
from mediajobs_dagster.history import (
    Action,
    AttemptFilter,
    ExportFormat,
    Frame,
    History,
    JobFilter,
    StatisticsReport,
    UploadFilter,
    Waiting,
    attempt_frame,
    export,
    export_parquet,
    job_frame,
    stage_frame,
)
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.listeners import Listener, Listeners
from mediajobs_dagster.models import (
    Attempt,
    Callback,
    FollowUp,
    Job,
    JobStatus,
    JsonObject,
    SubjectKind,
    Upload,
    new_trace_id,
)
from mediajobs_dagster.records import JobCancelled, JobQueued
from mediajobs_dagster.resilience.breaker import Breaker
from mediajobs_dagster.resilience.dispatch import Dispatcher
from mediajobs_dagster.resilience.held import Held, HeldBy
from mediajobs_dagster.resilience.states import BreakerState
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, open_storage
from mediajobs_dagster.storage.redaction import redact
from mediajobs_dagster.trace_context import within_trace
from mediajobs_dagster.use_cases.quotas import Quotas
from mediajobs_dagster.use_cases.references import NamedJob, References
from mediajobs_dagster.use_cases.videos import Videos

# Each use case imports what it needs, so listing jobs does not wait for the renderer to load.
if TYPE_CHECKING:
    from mediajobs_dagster.access.logins import Logins
    from mediajobs_dagster.access.tokens import Tokens
    from mediajobs_dagster.access.users import Users
    from mediajobs_dagster.attempts.checkup import Checks, Finding
    from mediajobs_dagster.attempts.storage_sweep import StorageSweep
    from mediajobs_dagster.attempts.worker import Worker
    from mediajobs_dagster.capacity.planning import CapacityReport
    from mediajobs_dagster.history.job_log_entry import JobLogEntry
    from mediajobs_dagster.intake.adding import Added, Adding, AddingListener, Inspection
    from mediajobs_dagster.intake.export_requests import Prepared, Requested
    from mediajobs_dagster.intake.intake import Order
    from mediajobs_dagster.inventory.inventory import Inventory
    from mediajobs_dagster.job_types.video_export.encoding import ExportParams
    from mediajobs_dagster.resilience.hosts import Quarantine
    from mediajobs_dagster.resilience.retention import Retention, Sweeper
    from mediajobs_dagster.telemetry.alerting import Alerting
    from mediajobs_dagster.telemetry.watching import AlertWatch
    from mediajobs_dagster.use_cases.answers import (
        AttemptDetails,
        ExportPlan,
        JobDetails,
        JobResult,
        TraceResult,
        WrittenTimeline,
    )
    from mediajobs_dagster.use_cases.breakers import Breakers
    from mediajobs_dagster.use_cases.bulk import Bulk
    from mediajobs_dagster.use_cases.choices import Choices
    from mediajobs_dagster.use_cases.envelopes import Envelope
    from mediajobs_dagster.use_cases.events import Events
    from mediajobs_dagster.use_cases.ingesting import Ingested
    from mediajobs_dagster.use_cases.job_status import JobHistory, JobStatuses
    from mediajobs_dagster.use_cases.metrics import Metrics
    from mediajobs_dagster.use_cases.overview import Overview
    from mediajobs_dagster.use_cases.removal import Removed, UploadDetails
    from mediajobs_dagster.use_cases.rows import Rows
    from mediajobs_dagster.use_cases.schedules import ScheduleStanding
    from mediajobs_dagster.use_cases.search import Hit
    from mediajobs_dagster.use_cases.studies import Studies
    from mediajobs_dagster.use_cases.submitting import Submitted
    from mediajobs_dagster.use_cases.throughput import Throughput
    from mediajobs_dagster.use_cases.traces import TraceTree
    from mediajobs_dagster.use_cases.webhooks import Webhooks
    from mediajobs_dagster.use_cases.why import Signs, Why

_LONGEST_TARGET = 200
"""How much of a name is recorded with what was done to it, characters."""


class MediaJobs:
    """Settings, history, storage and job types of one installation, and every use case on them.

    Each part is opened when it is first needed, once per process; a forked process opens its own. Threads may share
    it. Used in a `with` statement, it closes what it opened. Every method may raise what the history raises
    (DatabaseUnavailableError, DatabaseBusyError), and SettingsError when a setting cannot be used.
    """

    def __init__(self, settings: Settings | None = None, registry: Registry | None = None) -> None:
        """Open nothing yet. By default settings come from the environment, and all job types are available."""
        self._given_settings, self._given_registry = settings, registry
        self._history = Once(self._open_history)
        self._storage = Once(lambda: open_storage(self.settings))
        self._sweep = Once(self._open_sweep)
        self._breaker_states: dict[str, BreakerState] = {}
        self._host_states: dict[str, BreakerState] = {}

    @classmethod
    def open(cls, **settings: object) -> MediaJobs:
        """Load the settings from the environment; keyword arguments override them, such as `home="/data"`.

        Raises SettingsError when a value cannot be used.
        """
        return cls(Settings.load(**settings))

    def close(self) -> None:
        """Close what this process opened."""
        self._sweep.forget()
        self._storage.forget()
        if history := self._history.forget():
            history.close()

    def __enter__(self) -> MediaJobs:
        """Return itself; the `with` statement closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close what was opened."""
        self.close()

    # --- the parts ---------------------------------------------------------------------------------------------------

    @cached_property
    def settings(self) -> Settings:
        """The settings, read on first use."""
        return self._given_settings or Settings.load()

    @cached_property
    def registry(self) -> Registry:
        """The job types."""
        return Registry.standard() if self._given_registry is None else self._given_registry

    @cached_property
    def listeners(self) -> Listeners:
        """The listeners that get the records of this process. Raises SettingsError when one cannot be loaded."""
        listeners = Listeners.of(self.settings).also(self.alert_watch)
        if self.settings.job_log:
            from mediajobs_dagster.history.job_log import JobLogger
            from mediajobs_dagster.use_cases.job_log import JobLogListener, Unlogged

            log = JobLogger(self.settings.job_log)
            unlogged = Unlogged(self.settings.unlogged)
            listeners = listeners.also(JobLogListener(log, lambda: self.history, lambda: self.storage, unlogged))
        if not self.settings.logs_operations:
            return listeners
        from mediajobs_dagster.telemetry.operation_log import log_record

        return listeners.also(log_record)

    @cached_property
    def alert_watch(self) -> AlertWatch:
        """The listener that writes alerts."""
        from mediajobs_dagster.telemetry.watching import AlertWatch

        return AlertWatch(self.settings, lambda: self.history, self.alerts)

    def listen(self, *listeners: Listener) -> None:
        """Add listeners; they get every record from now on."""
        self.listeners = self.listeners.also(*listeners)

    @property
    def history(self) -> History:
        """The database of jobs, attempts, uploads and timelines."""
        return self._history.get()

    @property
    def storage(self) -> Storage:
        """The object storage: a local folder or S3."""
        return self._storage.get()

    @property
    def dispatcher(self) -> Dispatcher:
        """Takes batches of jobs out of the queue, for runs."""
        return Dispatcher(
            self.history, Breaker.of(self.settings), self.settings.lease_s, self.listeners, self._breaker_states
        )

    @property
    def breakers(self) -> Breakers:
        """How the breakers of job types and machines stand; a person can open and close them."""
        from mediajobs_dagster.use_cases.breakers import Breakers

        return Breakers(self.history, self.registry, self.settings, self.dispatcher, self.listeners, self._host_states)

    @cached_property
    def alerts(self) -> Alerting:
        """Writes, lists and sends alerts."""
        from mediajobs_dagster.telemetry.alerting import Alerting

        return Alerting(self.settings, lambda: self.history)

    @cached_property
    def webhooks(self) -> Webhooks:
        """What callback addresses were told, and what waits to be told."""
        from mediajobs_dagster.use_cases.webhooks import Webhooks

        return Webhooks(self.settings, lambda: self.history)

    def worker(
        self,
        *,
        after_interrupt: Callable[[], JobStatus] = lambda: JobStatus.QUEUED,
        sweepers: tuple[Sweeper, ...] = (),
    ) -> AbstractContextManager[Worker]:
        """A worker that makes attempts, for a `with` statement.

        `after_interrupt` returns the status that a job gets when its attempt is interrupted. With `sweepers`, a
        clean-up removes what they know, besides the rows of the history.
        """
        from mediajobs_dagster.attempts.worker import Worker

        return Worker.open(
            self.settings,
            self.registry,
            self.history,
            lambda: self.storage,
            after_interrupt=after_interrupt,
            sweepers=sweepers,
        )

    def retention(self, *sweepers: Sweeper) -> Retention:
        """How long things are kept, and the clean-up; `sweepers` remove what lies outside of the history database."""
        from mediajobs_dagster.resilience.retention import Retention

        return Retention(self.settings, self.history, sweepers)

    def _open_history(self) -> History:
        return History.open(
            self.settings.database_url,
            timeout_s=self.settings.database_timeout_s,
            is_traced=self.settings.traces_url is not None,
        )

    def _open_sweep(self) -> StorageSweep:
        from mediajobs_dagster.attempts.storage_sweep import StorageSweep

        return StorageSweep(self.history, lambda: self.storage, every_s=self.settings.sweep_interval_s)

    # --- adding media ------------------------------------------------------------------------------------------------

    def add(
        self,
        *locations: str | Path,
        types: Sequence[str] | None = None,
        priority: int = 0,
        force: bool = False,
        trace_id: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        follow: bool = False,
        keep: bool = True,
        callback: Callback | str | None = None,
        listener: AddingListener | None = None,
    ) -> Added:
        """Register media and enqueue jobs on it, all in one trace. An unchanged file is always the same upload.

        A location is a file, a folder (with everything below it), an `s3://` address, or an `s3://` address that ends
        with `/` (everything below it). `types` are names of job types; None means all that fit, and an empty sequence
        only registers the media. `include` and `exclude` are shell patterns of names or paths. Links that lead out of
        a folder are skipped, unless `follow` is set. With `keep=False` the answer counts the uploads of a folder
        without listing them. `callback` is an address that is told what becomes of the trace: see `Callback`. Raises
        RequestError for a location that does not exist, CallbackInvalidError, FfmpegMissingError, and StorageError;
        what is registered by then stays.
        """
        with within_trace(trace_id) as trace:
            order = self._order(types, trace, priority=priority, force=force, callback=callback)
            adding = self._adding(locations, order, include, exclude, listener, follow=follow)
            return self._noted(adding.take(keep=keep), ", ".join(map(str, locations)))

    def inspect(
        self,
        *locations: str | Path,
        types: Sequence[str] | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        follow: bool = False,
        listener: AddingListener | None = None,
    ) -> Inspection:
        """What `add` would do with the same arguments; nothing is stored or registered. Raises as `add`."""
        order = self._order(types, new_trace_id())
        return self._adding(locations, order, include, exclude, listener, follow=follow).inspect()

    def _order(
        self,
        types: Sequence[str] | None,
        trace_id: str,
        *,
        priority: int = 0,
        force: bool = False,
        callback: Callback | str | None = None,
    ) -> Order:
        from mediajobs_dagster.intake.intake import Order

        return Order(
            self.registry.of_uploads() if types is None else tuple(self._of_uploads(name) for name in types),
            by_name=types is not None,
            trace_id=trace_id,
            priority=priority,
            max_attempts=self.settings.max_attempts,
            force=force,
            callback=self._checked(callback),
        )

    def _checked(self, callback: Callback | str | None) -> Callback | None:
        return None if callback is None else self.webhooks.check(callback)

    def _adding(
        self,
        locations: Sequence[str | Path],
        order: Order,
        include: Sequence[str],
        exclude: Sequence[str],
        listener: AddingListener | None,
        *,
        follow: bool,
    ) -> Adding:
        from mediajobs_dagster.intake.adding import Adding, AddingListener

        return Adding(
            self.settings,
            self.history,
            self.storage,
            self.registry,
            self.listeners,
            tuple(map(str, locations)),
            order,
            tuple(include),
            tuple(exclude),
            follow,
            listener or AddingListener(),
        )

    def add_stored(
        self,
        key: str,
        *,
        types: Sequence[str] | None = None,
        priority: int = 0,
        force: bool = False,
        trace_id: str | None = None,
        callback: Callback | str | None = None,
    ) -> Added:
        """Register an object that lies in the storage already, and enqueue jobs on it, as `add` does.

        Raises KeyRefusedError, RequestError for what mediajobs made itself, and StorageMissingError when there is no
        such object.
        """
        from mediajobs_dagster.intake.candidates import ObjectCandidate
        from mediajobs_dagster.intake.search import is_made_here

        if is_made_here(key, self.registry):
            raise RequestError(f"{key} was made by mediajobs, so it is no new upload. Name a media file of your own.")
        candidate = ObjectCandidate(self.storage, self.storage.stat(key), key)
        with within_trace(trace_id) as trace:
            order = self._order(types, trace, priority=priority, force=force, callback=callback)
            return self._noted(self._adding((), order, (), (), None, follow=False).take_one(candidate), key)

    def add_received(
        self,
        path: Path,
        filename: str,
        *,
        sha256: str,
        types: Sequence[str] | None = None,
        priority: int = 0,
        force: bool = False,
        trace_id: str | None = None,
        callback: Callback | str | None = None,
    ) -> Added:
        """Register a file that somebody has sent, and enqueue jobs on it, as `add` does.

        The same content (`sha256`) under the same name is always the same upload.
        """
        from mediajobs_dagster.intake.candidates import ReceivedCandidate

        candidate = ReceivedCandidate(path, path.stat(), filename, sha256)
        with within_trace(trace_id) as trace:
            order = self._order(types, trace, priority=priority, force=force, callback=callback)
            return self._noted(self._adding((), order, (), (), None, follow=False).take_one(candidate), filename)

    def ingest(
        self,
        *addresses: str,
        limit: int | None = None,
        dry_run: bool = False,
        priority: int = 0,
        force: bool = False,
        trace_id: str | None = None,
        follow_up: Sequence[FollowUp] = (),
        callback: Callback | str | None = None,
    ) -> Ingested:
        """Enqueue the fetching of videos by their addresses, all in one trace. A video is fetched once.

        An address is that of a video at a site that yt-dlp knows, of a media file, of an object (s3://), or of a list
        (a playlist, a channel, a feed), of which the first `limit` videos are taken, 10,000 at most. Only where it may
        be a list is its site asked. With `dry_run` nothing is changed. `follow_up` is done with each upload.

        Raises RequestError for what is no address, AddressRefusedError, ExtraMissingError without yt-dlp where it is
        needed, and errors of sites; of several addresses, those of single ones are told in the answer.
        """
        from mediajobs_dagster.use_cases.ingesting import JOB_TYPE, Ingesting

        job_type = self.registry[JOB_TYPE]
        told = self._checked(callback)
        with within_trace(trace_id) as trace:
            asked = Ingesting(self.settings, self.history, self.listeners, job_type).ask(
                addresses,
                trace_id=trace,
                limit=limit,
                dry_run=dry_run,
                priority=priority,
                force=force,
                follow_up=follow_up,
                callback=told,
            )
        if asked.created and not dry_run:
            self._note("ingest", ", ".join(addresses), asked.created, traceId=asked.trace_id)
        return asked

    def _noted(self, added: Added, what: str) -> Added:
        """What was added; if anything was, that is among the actions."""
        new = added.counts.uploads - added.counts.known
        if new or added.counts.jobs:
            self._note("add", what, added.counts.uploads, traceId=added.trace_id, jobs=added.counts.jobs)
        return added

    def _note(self, action: str, target: str, count: int = 1, **details: object) -> None:
        """Record what was done, and by whom."""
        self.history.actions.record(
            Action(action=action, target=redact(target)[:_LONGEST_TARGET], count=count, details=details or None)
        )

    def _of_uploads(self, name: str) -> JobType:
        job_type = self.registry[self.registry.name_of(name)]
        if job_type.subject is not SubjectKind.UPLOAD:
            raise RequestError(f"{name} does not work on uploads. For a timeline, use `mediajobs export TIMELINE`.")
        return job_type

    # --- uploads -----------------------------------------------------------------------------------------------------

    def uploads(self, filter: UploadFilter | None = None, *, limit: int = 50, after: str | None = None) -> list[Upload]:
        """One page of uploads, newest first. `after` is the last id of the previous page; NotFoundError if unknown."""
        return self.history.uploads.list(filter or UploadFilter(), limit=limit, after=after)

    def upload(self, reference: str) -> UploadDetails:
        """An upload, its jobs and where its content and current outputs are. `reference`: see `References.upload`.

        Raises NotFoundError and AmbiguousError.
        """
        from mediajobs_dagster.use_cases.removal import details_of

        return details_of(self.references.upload(reference), self.history, self.place_of)

    def submit(
        self,
        reference: str,
        types: Sequence[str] | None = None,
        *,
        params: Mapping[str, object] | None = None,
        priority: int = 0,
        trace_id: str | None = None,
        force: bool = False,
        callback: Callback | str | None = None,
    ) -> Submitted:
        """Enqueue jobs on an upload; `types` None: all that fit. `reference`: see `References.upload`.

        A job that was asked for before is not asked for again, unless `force` is set. `callback` is an address that is
        told what becomes of the jobs. Raises NotFoundError, AmbiguousError, ParametersError, CallbackInvalidError, and
        RequestError for a job type that is not known.
        """
        from mediajobs_dagster.use_cases.submitting import submit_jobs

        upload = self.references.upload(reference)
        fitting = [each for each in self.registry.of_uploads() if each.gets(upload)]
        with within_trace(trace_id) as trace:
            submitted = submit_jobs(
                self.history,
                self.listeners,
                upload,
                fitting if types is None else [self._of_uploads(name) for name in types],
                params=params or {},
                trace_id=trace,
                priority=priority,
                max_attempts=self.settings.max_attempts,
                force=force,
                callback=self._checked(callback),
            )
        if count := sum(each.created for each in submitted.jobs):
            names = sorted({each.job.job_type for each in submitted.jobs if each.created})
            self._note("jobs submit", upload.filename, count, types=names, traceId=submitted.trace_id)
        return submitted

    def delete_upload(self, reference: str, *, dry_run: bool = False) -> Removed:
        """Delete an upload: its content, its outputs, and its entry; waiting jobs on it are cancelled.

        What lay in the storage before it was added stays there, and so do jobs, attempts and exports. With `dry_run`
        nothing is changed. Raises NotFoundError, AmbiguousError, IllegalTransitionError while a job works on it, and
        StorageError; then repeat it.
        """
        from mediajobs_dagster.use_cases.removal import remove_upload

        upload = self.references.upload(reference)
        removed = remove_upload(upload, self.history, self.storage, dry_run=dry_run)
        if not dry_run:
            self._note("upload delete", upload.filename, upload=upload.id)
        return removed

    # --- exports of timelines ----------------------------------------------------------------------------------------

    def prepare_export(
        self,
        timeline: Path | str | JsonObject,
        *,
        rate: Fraction | None = None,
        named: Mapping[str, str] | None = None,
    ) -> Prepared:
        """Check a timeline: a file, or a document in the format `create_video_v1`. Nothing is enqueued.

        `rate` is the frame rate of an edit decision list. `named` has references to uploads (ids, file names or
        places) by the names of reels, clips or files in another program's timeline. Raises RequestError when the file
        cannot be read, and TimelineError, which lists every fault.
        """
        from mediajobs_dagster.intake.export_requests import ExportRequests
        from mediajobs_dagster.timelines.documents import read_document

        exports = ExportRequests(self.history, self.storage)
        if isinstance(timeline, dict):
            return exports.prepare(timeline)
        document = read_document(Path(timeline), rate=rate, library=exports.library(named or {}))
        return exports.prepare(document.content, document.faults, notes=document.notes, places=document.places)

    def plan_export(self, prepared: Prepared, params: ExportParams | None = None) -> ExportPlan:
        """The commands that would render a timeline, with a forecast of time and size. Nothing is enqueued.

        Raises FfmpegMissingError and HdrUnsupportedError.
        """
        from mediajobs_dagster.attempts.forecast import forecast
        from mediajobs_dagster.attempts.machine import ThisMachine
        from mediajobs_dagster.intake.export_requests import preview
        from mediajobs_dagster.job_types.video_export.encoding import ExportParams
        from mediajobs_dagster.media.run import Runner
        from mediajobs_dagster.use_cases.answers import ExportPlan

        params, runner = params or ExportParams(), Runner.from_settings(self.settings)
        planned = preview(prepared, params, ThisMachine(lambda: runner))
        commands = tuple(("ffmpeg", *command.arguments(runner.guards)) for command in planned.commands)
        return ExportPlan(planned, commands, forecast(self.history, planned.layout, params), prepared.notes)

    def export(
        self,
        timeline: Prepared | Path | str | JsonObject,
        *,
        params: ExportParams | None = None,
        priority: int = 0,
        trace_id: str | None = None,
        force: bool = False,
        callback: Callback | str | None = None,
    ) -> Requested:
        """Enqueue the rendering of a timeline.

        The same edit of the same content is rendered once; `force` renders it again. `callback` is an address that is
        told what becomes of it, and of the jobs on the video. Raises what `prepare_export` raises, StorageMissingError
        and CallbackInvalidError.
        """
        from mediajobs_dagster.intake.export_requests import ExportRequests, Prepared

        told = self._checked(callback)
        prepared = timeline if isinstance(timeline, Prepared) else self.prepare_export(timeline)
        with within_trace(trace_id) as trace:
            requested = ExportRequests(self.history, self.storage).request(
                prepared,
                params=params.to_json() if params else None,
                trace_id=trace,
                priority=priority,
                max_attempts=self.settings.max_attempts,
                force=force,
                callback=told,
            )
        if requested.created:
            self.listeners.tell(JobQueued(job=requested.job))
            self._note("export", prepared.timeline.title or requested.job.id, job=requested.job.id)
        return requested

    def write_otio(self, prepared: Prepared, path: Path) -> WrittenTimeline:
        """Write a timeline to an .otio file, for other programs. Raises RequestError when it cannot be written."""
        from mediajobs_dagster.timelines.otio.writing import write_otio
        from mediajobs_dagster.use_cases.answers import WrittenTimeline

        return WrittenTimeline(path, (*prepared.notes, *write_otio(prepared.timeline, prepared.uploads, path)))

    # --- jobs --------------------------------------------------------------------------------------------------------

    @property
    def references(self) -> References:
        """Finds jobs, attempts, uploads, traces and runs by what people call them."""
        scheduled = [each for each in self.registry if each.subject is SubjectKind.TICK]
        return References(self.history, {name: each.name for each in scheduled for name in (each.name, each.asset)})

    @property
    def choices(self) -> Choices:
        """Checks what filters name."""
        from mediajobs_dagster.use_cases.choices import Choices

        return Choices(self.history, self.registry, self.references)

    def search(self, text: str) -> tuple[Hit, ...]:
        """What a text may mean: an error code, the beginning of an id, or a part of a name. Exact ones come first."""
        from mediajobs_dagster.use_cases.search import search

        return search(self.history, text)

    def jobs(self, filter: JobFilter | None = None, *, limit: int = 50, after: str | None = None) -> list[Job]:
        """One page of jobs, newest first. `after` is the last id of the previous page; NotFoundError if unknown."""
        return self.history.jobs.list(filter or JobFilter(), limit=limit, after=after)

    def names_of(self, jobs: Iterable[Job]) -> dict[str, str]:
        """What people call the subjects of these jobs, by the ids of the subjects; unnamed ones are left out."""
        return self.history.naming.of_subjects(job.subject_id for job in jobs)

    def named(self, jobs: Sequence[Job]) -> list[NamedJob]:
        """These jobs with what people call their subjects."""
        names = self.names_of(jobs)
        return [NamedJob(job, names.get(job.subject_id)) for job in jobs]

    @property
    def rows(self) -> Rows:
        """Jobs with what a list shows of them: latest attempt, input and machine."""
        from mediajobs_dagster.use_cases.rows import Rows

        return Rows(self.history)

    def job(self, reference: str) -> JobDetails:
        """A job, its attempts and its children. `reference`: see `References.job`.

        Raises NotFoundError and AmbiguousError.
        """
        from mediajobs_dagster.use_cases.answers import JobDetails

        history, job = self.history, self.references.job(reference)
        attempts, children = history.attempts.of_job(job.id), history.jobs.list(JobFilter(parent_job_id=job.id))
        return JobDetails(self.named([job])[0], tuple(attempts), tuple(self.named(children)))

    def retry(self, reference: str, *, force: bool = False) -> Job:
        """Put a failed or finished job back into the queue. `force` makes its output again even if it is up to date.

        Raises NotFoundError, AmbiguousError, IllegalTransitionError for a job that is queued or processing, and
        RequestError when its upload is not in the storage any more: it would only fail again.
        """
        job = self.references.job(reference)
        self._check_source(job)
        job = self.history.jobs.retry(job.id, force=force)
        self.listeners.tell(JobQueued(job=job))
        self._note("job retry", f"{job.job_type} {job.id}", job=job.id)
        return job

    def _check_source(self, job: Job) -> None:
        try:
            if (refusal := self._refusal(job)) is not None:
                raise RequestError(refusal)
        except StorageError:  # it may answer by the time of the attempt
            return

    def _refusal(self, job: Job) -> str | None:
        """Why a retry of a job could only fail; None: it may succeed. Raises StorageError."""
        found = self.history.uploads.with_ids([job.subject_id])
        is_of_upload = any(each.name == job.job_type for each in self.registry.of_uploads())
        if is_of_upload and not found:
            return f"The upload {job.subject_id} was deleted, so the job cannot succeed. Add the file again."
        for upload in found.values():
            try:
                self.storage.stat(upload.storage_key)
            except StorageMissingError:
                return (
                    f"{upload.filename} is not in the storage any more, so the job cannot succeed. Add the file again: "
                    "it keeps its id. Then retry the job, unless it was queued by that."
                )
        return None

    @property
    def bulk(self) -> Bulk:
        """Retries or cancels all jobs that match a filter."""
        from mediajobs_dagster.use_cases.bulk import Bulk

        def refusal(job: Job) -> str | None:
            try:
                return "the files of these are gone from the storage. Add them again" if self._refusal(job) else None
            except StorageError:
                return None

        return Bulk(self.history, self.listeners, refusal)

    def cancel(self, reference: str) -> Job:
        """Cancel a job. A job that is being processed stops at its worker's next heartbeat.

        Raises NotFoundError, AmbiguousError, and IllegalTransitionError when the job has already ended.
        """
        job = self.history.jobs.cancel(self.references.job(reference).id)
        self.listeners.tell(JobCancelled(job=job))
        self._note("job cancel", f"{job.job_type} {job.id}", job=job.id)
        return job

    def trace(self, trace_id: str) -> TraceResult:
        """The newest 50 jobs of a trace and their results, in the order they were created."""
        from mediajobs_dagster.use_cases.answers import TraceResult

        found = sorted(self.jobs(JobFilter(trace_id=trace_id)), key=lambda job: job.id)
        return TraceResult(trace_id, tuple(map(self._result, self.named(found))))

    def trace_tree(self, reference: str) -> TraceTree:
        """Everything of a trace: its uploads, and its jobs as a tree. `reference`: see `References.trace`.

        Raises NotFoundError and AmbiguousError.
        """
        from mediajobs_dagster.use_cases.traces import trace_tree

        return trace_tree(self.history, self.references.trace(reference))

    def _result(self, named: NamedJob) -> JobResult:
        from mediajobs_dagster.attempts.freshness import standing_keys
        from mediajobs_dagster.use_cases.answers import JobResult

        attempts = self.history.attempts.of_job(named.job.id)
        latest = attempts[-1] if attempts else None
        keys = standing_keys(latest, named.job, self.history) if latest else []
        return JobResult(named.job, named.label, latest, tuple(map(self.place_of, keys)))

    def place_of(self, key: str) -> str:
        """Where an object is, or was: a path on this machine, or an address."""
        return self.storage.place(key)

    def sweep_storage(self) -> int:
        """Look at the next thousand objects of the storage, and remove what dead workers left; returns how many.

        A process that calls it again and again goes through the whole storage, and rests after each time.
        """
        return self._sweep.get().step()

    @property
    def inventory(self) -> Inventory:
        """The storage as a whole: its map, reports on it, and the removal of what nobody needs."""
        from mediajobs_dagster.inventory.inventory import Inventory

        return Inventory(self.settings, lambda: self.history, lambda: self.storage)

    def overview(self) -> Overview:
        """How the installation stands now: queues, what is held and runs, the latest failures, and the disks."""
        from mediajobs_dagster.use_cases.overview import overview_of

        return overview_of(self.history, self.registry, self.settings, self.held(), self.breakers.quarantines())

    def job_statuses(self, schedules: Sequence[ScheduleStanding] = ()) -> JobStatuses:
        """How every job type stands, and every quota. `schedules` are as `Schedules.list` has them."""
        from mediajobs_dagster.history.switches import SwitchScope
        from mediajobs_dagster.use_cases.job_status import job_statuses

        breakers = [each for each in self.breakers.all() if each.scope is SwitchScope.JOB_TYPE]
        return job_statuses(self.history, breakers, self.quota.standings(), schedules)

    def job_history(self, name: str, *, limit: int = 20) -> JobHistory:
        """The latest attempts of a job type, newest first. Raises RequestError for one that is not known."""
        from mediajobs_dagster.use_cases.job_status import job_history

        is_known = bool(self.history.attempts.list(AttemptFilter(job_name=name), limit=1))
        return job_history(self.history, name if is_known else self.registry.name_of(name), limit=limit)

    def held(self) -> tuple[Held, ...]:
        """What waits in the queue and is held back, one answer for each job type. Reads only.

        A type is held if it is not installed, if its breaker is not closed, or if nobody has what it needs. On a
        cluster (MEDIAJOBS_CELERY_URL) nobody knows what the workers elsewhere offer.
        """
        found = (self._held(name, waiting) for name, waiting in self.history.jobs.waiting().items())
        return tuple(held for held in found if held)

    def why(self, reference: str, signs: Signs | None = None) -> Why:
        """Why a job waits, or why it ended as it did and whether it is tried again. `reference`: see `References.job`.

        Of several that it can mean, the one that is not done is meant, if there is one only. `signs` knows of runs and
        daemons, which the history does not. Raises NotFoundError and AmbiguousError.
        """
        from mediajobs_dagster.resilience.retry import RetryPolicy
        from mediajobs_dagster.use_cases.why import Explaining

        asked = self.references.jobs_to_explain(reference)
        (named,) = self.named(asked if len(asked) == 1 else [self.references.job(reference)])
        is_elsewhere = bool(self.settings.celery_url)

        def held(job_type: str) -> Held | None:
            waiting = self.history.jobs.waiting(job_type).get(job_type)
            return self._held(job_type, waiting) if waiting else None

        def quarantine() -> Quarantine | None:
            return None if is_elsewhere else self.breakers.quarantine_of(self.settings.host)

        policy = RetryPolicy.of(self.settings)
        return Explaining(self.history, self.registry, policy, held, quarantine, signs).of(named)

    def held_by_needs(self, job_type: JobType) -> Held | None:
        """What waits of a type whose needs this machine does not offer; None: it offers them all, or nothing waits."""
        lacking = job_type.lacking(self.settings.offers)
        waiting = self.history.jobs.waiting(job_type.name).get(job_type.name) if lacking else None
        if waiting is None:
            return None
        at = self.history.now()
        return Held(job_type=job_type.name, by=HeldBy.NEEDS, waiting=waiting.jobs, at=at, lacking=lacking)

    def _held(self, name: str, waiting: Waiting) -> Held | None:
        job_type = next((each for each in self.registry if each.name == name), None)
        if job_type is None:
            return Held(job_type=name, by=HeldBy.NOT_INSTALLED, waiting=waiting.jobs, at=self.history.now())
        by_needs = None if self.settings.celery_url else self.held_by_needs(job_type)
        return by_needs or self.quota.held(job_type) or self.dispatcher.held(name)

    @property
    def quota(self) -> Quotas:
        """The quotas of outside services: what is left, and what does not fit into it."""
        return Quotas(self.history, self.settings)

    @property
    def metrics(self) -> Metrics:
        """The metrics of the installation, in two forms."""
        from mediajobs_dagster.use_cases.metrics import Metrics

        return Metrics(lambda: self.history, self.registry, self.settings, lambda: self.breakers, lambda: self.quota)

    @property
    def studies(self) -> Studies:
        """Asks for study guides of talks, and finds them."""
        from mediajobs_dagster.use_cases.studies import Studies, Ways

        ways = Ways(
            find=self.references.upload,
            add=self.add,
            inspect=self.inspect,
            ingest=self.ingest,
            storage=lambda: self.storage,
            check=self._checked,
            note=self._note,
        )
        return Studies(self.history, self.registry, self.listeners, self.settings, ways)

    @property
    def videos(self) -> Videos:
        """The videos that discovery found, and the events that they are of."""
        return Videos(self.history, self.references)

    @property
    def events(self) -> Events:
        """Scheduled events, as calendars and APIs have told of them."""
        from mediajobs_dagster.use_cases.events import Events

        return Events(self.history)

    # --- who may use the console -------------------------------------------------------------------------------------

    @property
    def users(self) -> Users:
        """Who may log in to the console, and in which role."""
        from mediajobs_dagster.access.users import Users

        return Users(self.history)

    @property
    def tokens(self) -> Tokens:
        """By what programs come to the console."""
        from mediajobs_dagster.access.tokens import Tokens

        return Tokens(self.history)

    @property
    def logins(self) -> Logins:
        """Sessions, and who makes a request."""
        from mediajobs_dagster.access.logins import Logins

        return Logins(self.history, self.settings)

    # --- attempts ----------------------------------------------------------------------------------------------------

    def attempt(self, reference: str) -> AttemptDetails:
        """An attempt and its manifest, or of a running one how far it is. `reference`: see `References.attempt`.

        Raises NotFoundError and AmbiguousError.
        """
        from mediajobs_dagster.attempts.freshness import standing_keys
        from mediajobs_dagster.attempts.manifest import Manifest
        from mediajobs_dagster.attempts.withdrawal import keys_of
        from mediajobs_dagster.use_cases.answers import AttemptDetails

        attempt = self.history.attempts.get(self.references.attempt(reference).id)
        job = self.history.jobs.get(attempt.job_id) if attempt.job_id else None
        manifest = Manifest.model_validate(attempt.manifest) if attempt.manifest else None
        outputs = manifest.outputs if manifest else ()
        standing = standing_keys(attempt, job, self.history) if job and outputs else []
        return AttemptDetails(
            attempt.model_copy(update={"manifest": None}),
            job and self.names_of([job]).get(job.subject_id),
            manifest,
            job.progress if job and not attempt.status.is_final else None,
            tuple(self.place_of(output.key) for output in outputs),
            is_replaced=bool(outputs) and standing != keys_of(attempt),
        )

    def envelope(self, attempt: Attempt) -> Envelope | None:
        """How loud the sound of what an attempt made is, over its time; None: no current envelope is of it.

        Raises StorageError.
        """
        from mediajobs_dagster.use_cases.envelopes import envelope_of

        return envelope_of(attempt, self.history, self.storage)

    def attempts(self, filter: AttemptFilter | None = None, *, with_manifest: bool = False) -> Iterator[Attempt]:
        """All attempts that match, newest first, read page by page."""
        return self.history.attempts.iterate(filter or AttemptFilter(), with_manifest=with_manifest)

    def statistics(self, filter: AttemptFilter | None = None) -> StatisticsReport:
        """Totals and percentiles over the attempts that match."""
        return self.history.statistics.of(filter or AttemptFilter())

    def throughput(self, length: timedelta) -> Throughput:
        """How much was done in the last `length`, by span, job type and error; costs the same however much there is."""
        from mediajobs_dagster.use_cases.throughput import throughput_of

        return throughput_of(self.history, length)

    def capacity(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        prices: Mapping[str, float] | None = None,
        days_ahead: float = 30.0,
        growth: float = 1.0,
        load: float = 0.8,
    ) -> CapacityReport:
        """What media took of the machines in a period, by default the last 30 days, and what the days ahead ask for.

        `prices` are of a machine an hour, by its type; they take precedence over those of the settings. `growth` says
        how much more will come in, `load` for which share of the time a machine is planned to be busy. Raises
        RequestError.
        """
        from mediajobs_dagster.capacity.planning import Assumptions
        from mediajobs_dagster.use_cases.capacity import capacity_of

        all_prices = {**self.settings.prices_of_machines, **(prices or {})}
        assumptions = Assumptions(all_prices, growth=growth, load=load, days_ahead=days_ahead)
        return capacity_of(self.history, self.registry, (since, until), assumptions)

    def export_history(
        self,
        out: IO[str],
        format: ExportFormat = "jsonl",
        filter: AttemptFilter | None = None,
        *,
        with_manifest: bool = False,
    ) -> int:
        """Write the attempts that match to `out`, newest first; returns how many. See `history.export`."""
        names = self.history.naming.of_attempts
        return export(self.attempts(filter, with_manifest=with_manifest), format, out, names)

    def export_history_parquet(self, out: IO[bytes], filter: AttemptFilter | None = None) -> int:
        """Write the attempts that match to `out` as a Parquet file; returns how many. Raises ExtraMissingError."""
        return export_parquet(self.attempts(filter), out, self.history.naming.of_attempts)

    def job_log_entries(self, filter: AttemptFilter | None = None) -> Iterator[JobLogEntry]:
        """The entries of a job log for all jobs that have ended, each by the attempt that ended it, newest first.

        `filter` selects these attempts.
        """
        from mediajobs_dagster.use_cases.job_log import Gathering, entries_of

        gathering = Gathering(self.history, lambda: self.storage)
        return entries_of(self.attempts(filter, with_manifest=True), gathering)

    def export_job_log(self, out: IO[str], filter: AttemptFilter | None = None) -> int:
        """Write these entries to `out` as a job log, which `JobLogger` can read; returns how many."""
        from mediajobs_dagster.use_cases.job_log import write_job_log

        return write_job_log(self.job_log_entries(filter), out)

    # --- data frames, for notebooks ----------------------------------------------------------------------------------

    def attempt_frame(self, filter: AttemptFilter | None = None) -> Frame:
        """The attempts that match as a data frame, one row each; columns: `history.frames.ATTEMPT_COLUMNS`."""
        return attempt_frame(self.history, filter or AttemptFilter())

    def job_frame(self, filter: JobFilter | None = None) -> Frame:
        """The jobs that match as a data frame, one row each."""
        return job_frame(self.history, filter or JobFilter())

    def stage_frame(self, filter: AttemptFilter | None = None) -> Frame:
        """The stages of the attempts that match as a data frame, one row each."""
        return stage_frame(self.history, filter or AttemptFilter())

    # --- the machine -------------------------------------------------------------------------------------------------

    def doctor(self, also: Checks | None = None) -> tuple[Finding, ...]:
        """Check ffmpeg, database, clock, storage, disk and versions; a finding that is not fine says how to fix it.

        `also` are further checks, such as those of Dagster, which this module does not import.
        """
        from mediajobs_dagster.attempts.checkup import check_up

        def told() -> list[str]:
            return [each.reason for each in (*self.held(), *self.breakers.quarantines())]

        alerts = {"alerts": self.alerts.check} if self.settings.alert_urls else {}
        traces = {"traces": self._check_collector} if self.settings.traces_url else {}
        job_log = {"job log": self._check_job_log} if self.settings.job_log else {}
        checks = {**(also or {}), **self._scheduled_checks(), **alerts, **traces, **job_log}
        return check_up(self.settings, lambda: self.history, lambda: self.storage, told, checks)

    def _check_collector(self) -> str:
        from mediajobs_dagster.telemetry.traces.collector import Collector

        return Collector(self.settings).check()

    def _check_job_log(self) -> str:
        from mediajobs_dagster.history.job_log import check_job_log

        assert self.settings.job_log  # else nobody asks
        return check_job_log(self.settings.job_log)

    def job_log_fault(self) -> str | None:
        """Why no job can be logged in the file that MEDIAJOBS_JOB_LOG names; None: it can, or none is named."""
        try:
            if self.settings.job_log:
                self._check_job_log()
        except MediaJobsError as error:
            return str(error)
        return None

    def _scheduled_checks(self) -> Checks:
        """A check for each fault of the settings that scheduled jobs work with; one that is fine if there is none."""

        def raising(error: SettingsError) -> str:
            raise error

        faulty = self.registry.faulty_settings(self.settings)
        found = {name: partial(raising, error) for name, error in faulty.items()}
        return found or {"scheduled jobs": lambda: "their settings can be used"}

    def check(self) -> str:
        """Open the database, creating or migrating it if needed; returns a description of it for people."""
        return self.history.check()
