"""Adding media: find the files, take them in, and say what became of each. What `mediajobs add` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from typing_extensions import override

from mediajobs_dagster.errors import FfmpegMissingError, MediaJobsError
from mediajobs_dagster.history import Enqueued, History, Registered
from mediajobs_dagster.intake.batch import BatchIntake, Inspected, Listener, Prober
from mediajobs_dagster.intake.candidates import Candidate, Skipped
from mediajobs_dagster.intake.intake import Intake, Order
from mediajobs_dagster.intake.journal import journals_of
from mediajobs_dagster.intake.search import Search, is_folder
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import Job, JsonObject, Upload
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage
from mediajobs_dagster.storage.local import LocalStorage


@dataclass(frozen=True)
class AddedUpload:
    """An upload that is registered, and its jobs."""

    upload: Upload
    created: bool
    """False: it was registered earlier."""
    jobs: tuple[Enqueued, ...]


@dataclass(frozen=True)
class AddedCounts:
    """How much was added."""

    found: int = 0
    """Files that were to be taken in."""
    uploads: int = 0
    """Registered now or earlier."""
    known: int = 0
    """Registered earlier."""
    with_jobs: int = 0
    """Those among the uploads that have jobs; images have none."""
    jobs: int = 0
    """Enqueued now."""


@dataclass(frozen=True)
class Added:
    """What became of the files that were to be added."""

    trace_id: str
    counts: AddedCounts
    uploads: tuple[AddedUpload, ...]
    """Empty when they were not to be kept."""
    skipped: tuple[Skipped, ...]
    is_single: bool = False
    """Whether one file was asked for by its name."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs on the uploads, those that were there before among them."""
        return tuple(entry.job for each in self.uploads for entry in each.jobs)

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        entries = [entry for each in self.uploads for entry in each.jobs]
        return {
            "traceId": self.trace_id,
            "uploads": [{**each.upload.to_json(), "created": each.created} for each in self.uploads],
            "jobs": [{**entry.job.to_json(), "created": entry.created} for entry in entries],
            "skipped": [asdict(each) for each in self.skipped],
        }


@dataclass(frozen=True)
class Inspection:
    """What would become of files if they were added."""

    files: tuple[Inspected, ...]
    """Those that would be taken in, in the order of their locations."""
    skipped: tuple[Skipped, ...]

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {"files": [_to_json(each) for each in self.files], "skipped": [asdict(each) for each in self.skipped]}


def _to_json(each: Inspected) -> JsonObject:
    return {
        "location": each.candidate.location,
        "bytes": each.candidate.bytes,
        "durationSeconds": each.info and each.info.duration_seconds,
        "known": each.known,
    }


class AddingListener(Listener):
    """Is told how adding gets on: `moved` from any thread, the rest from the one that called."""

    def found(self, candidate: Candidate) -> None:
        """A file is to be taken in."""

    def searched(self) -> None:
        """All files are found."""

    def stopped(self, so_far: Added) -> None:
        """Adding was interrupted or failed; what is registered stays."""


@dataclass(frozen=True)
class Adding:
    """Adds media: files, folders with all below them, objects, and all objects below an address."""

    settings: Settings
    history: History
    storage: Storage
    registry: Registry
    listeners: Listeners
    locations: tuple[str, ...]
    order: Order
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    listener: AddingListener = field(default_factory=AddingListener)

    @property
    def is_single(self) -> bool:
        """Whether one file is asked for by its name: it is registered whatever it is."""
        return len(self.locations) == 1 and not is_folder(self.locations[0])

    def take(self, *, keep: bool) -> Added:
        """Take everything in.

        Without `keep` only the counts and the skipped files are returned: there may be a hundred thousand uploads. A
        single file is always kept. Raises as the search and the intake do; what was registered by then stays.
        """
        counting = _Counting(self.listener, keep=keep or self.is_single)
        batch = self._batch(counting)
        candidates = self._find(counting)
        try:
            batch.take(candidates)
        except (KeyboardInterrupt, MediaJobsError):
            self.listener.stopped(self._added(counting))
            raise
        return self._added(counting)

    def inspect(self) -> Inspection:
        """Probe the files, and store and register nothing."""
        counting = _Counting(self.listener, keep=False)
        batch = self._batch(counting)
        inspected = sorted(batch.inspect(self._find(counting)), key=lambda each: each.candidate.location)
        faults = [each.fault for each in inspected if each.fault]
        return Inspection(tuple(each for each in inspected if not each.fault), (*counting.skips, *faults))

    def _added(self, counting: _Counting) -> Added:
        return Added(
            self.order.trace_id, counting.counts, tuple(counting.uploads), tuple(counting.skips), self.is_single
        )

    def _find(self, counting: _Counting) -> list[Candidate]:
        own = [self.settings.scratch]
        if isinstance(self.storage, LocalStorage):
            own.append(self.storage.root)
        search = Search(self.storage, tuple(self.registry), tuple(own), self.include, self.exclude)
        candidates: list[Candidate] = []
        for find in search.find(self.locations):
            if isinstance(find, Skipped):
                counting.skipped(find)
            else:
                candidates.append(find)
                counting.found(find)
        self.listener.searched()
        return candidates

    def _batch(self, counting: _Counting) -> BatchIntake:
        images = not any(is_folder(location) for location in self.locations)
        try:
            prober = Prober.from_settings(self.settings, images=images)
        except FfmpegMissingError:
            if not self.is_single:
                raise
            prober = None  # the attempts will say so, on record
        return BatchIntake(
            Intake(self.history, self.storage, self.listeners),
            self.order,
            prober,
            journals_of(self.settings),
            even_if_not_media=self.is_single,
            listener=counting,
        )


class _Counting(Listener):
    """Counts what becomes of the files, and passes everything on."""

    def __init__(self, next_one: AddingListener, *, keep: bool) -> None:
        self.skips: list[Skipped] = []
        self.uploads: list[AddedUpload] = []
        self._next, self._keep = next_one, keep
        self._found = self._registered = self._known = self._with_jobs = self._jobs = 0

    @property
    def counts(self) -> AddedCounts:
        """The counts so far."""
        return AddedCounts(self._found, self._registered, self._known, self._with_jobs, self._jobs)

    def found(self, candidate: Candidate) -> None:
        """A file is to be taken in."""
        self._found += 1
        self._next.found(candidate)

    @override
    def moved(self, size: int) -> None:
        self._next.moved(size)

    @override
    def done_with(self, candidate: Candidate, moved: int, *, stored: bool) -> None:
        self._next.done_with(candidate, moved, stored=stored)

    @override
    def registered(self, found: Sequence[Registered], *, known: bool) -> None:
        self._registered += len(found)
        self._known += len(found) if known else 0
        self._with_jobs += sum(bool(each.jobs) for each in found)
        self._jobs += sum(entry.created for each in found for entry in each.jobs)
        if self._keep:
            self.uploads += [AddedUpload(each.upload, not known, each.jobs) for each in found]
        self._next.registered(found, known=known)

    @override
    def skipped(self, skipped: Skipped) -> None:
        self.skips.append(skipped)
        self._next.skipped(skipped)
