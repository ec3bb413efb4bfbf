"""What `mediajobs add` does: find the files, add them, and report the result of each."""

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
    """A registered upload and its jobs."""

    upload: Upload
    created: bool
    """False if it was registered before."""
    jobs: tuple[Enqueued, ...]
    restored: bool = False
    """Whether its content was gone from the storage, and is stored again."""


@dataclass(frozen=True)
class AddedCounts:
    """How many files, uploads and jobs there were."""

    found: int = 0
    """Files to add."""
    uploads: int = 0
    """Uploads that are registered, now or before."""
    known: int = 0
    """Registered earlier."""
    with_jobs: int = 0
    """Uploads that have jobs; images have none."""
    jobs: int = 0
    """Enqueued now."""
    restored: int = 0
    """Known uploads whose content was gone from the storage, and is stored again."""


@dataclass(frozen=True)
class Added:
    """The result of adding files."""

    trace_id: str
    counts: AddedCounts
    uploads: tuple[AddedUpload, ...]
    """Empty if `keep` was False."""
    skipped: tuple[Skipped, ...]
    is_single: bool = False
    """Whether the request named a single file."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs on the uploads, including jobs that existed before."""
        return tuple(entry.job for each in self.uploads for entry in each.jobs)

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        entries = [entry for each in self.uploads for entry in each.jobs]
        return {
            "traceId": self.trace_id,
            "uploads": [
                {**each.upload.to_json(), "created": each.created, "restored": each.restored} for each in self.uploads
            ],
            "jobs": [{**entry.job.to_json(), "created": entry.created} for entry in entries],
            "skipped": [asdict(each) for each in self.skipped],
        }


@dataclass(frozen=True)
class Inspection:
    """What adding files would do."""

    files: tuple[Inspected, ...]
    """The files that would be added, ordered by location."""
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
    """Gets the progress of adding: `moved` is called from any thread, the others from the calling thread."""

    def found(self, candidate: Candidate) -> None:
        """A file to add was found."""

    def searched(self) -> None:
        """All files are found."""

    def stopped(self, so_far: Added) -> None:
        """Adding was interrupted or failed; what is registered stays."""


@dataclass(frozen=True)
class Adding:
    """Adds media: files, folders with everything below them, objects, and all objects below an address."""

    settings: Settings
    history: History
    storage: Storage
    registry: Registry
    listeners: Listeners
    locations: tuple[str, ...]
    order: Order
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow: bool = False
    """Whether links are followed that lead out of a folder."""
    listener: AddingListener = field(default_factory=AddingListener)

    @property
    def is_single(self) -> bool:
        """Whether the request is for a single file; such a file is registered whatever it is."""
        return not self.locations or (len(self.locations) == 1 and not is_folder(self.locations[0]))

    def take(self, *, keep: bool) -> Added:
        """Add everything.

        Without `keep` only the counts and the skipped files are returned, because there may be a hundred thousand
        uploads. A single file is always kept. Raises what the search and the intake raise; what is registered by then
        stays.
        """
        counting = _Counting(self.listener, keep=keep or self.is_single)
        return self._take(counting, self._batch(counting), self._find(counting))

    def take_one(self, candidate: Candidate) -> Added:
        """Add a single file that is known already, whatever it is. Raises what the intake raises."""
        counting = _Counting(self.listener, keep=True)
        counting.found(candidate)
        return self._take(counting, self._batch(counting), [candidate])

    def _take(self, counting: _Counting, batch: BatchIntake, candidates: list[Candidate]) -> Added:
        try:
            batch.take(candidates)
        except (KeyboardInterrupt, MediaJobsError):
            self.listener.stopped(self._added(counting))
            raise
        return self._added(counting)

    def inspect(self) -> Inspection:
        """Probe the files; nothing is stored or registered."""
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
        search = Search(self.storage, tuple(self.registry), tuple(own), self.include, self.exclude, self.follow)
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
            prober = None  # the attempts will record the error
        return BatchIntake(
            Intake(self.history, self.storage, self.listeners),
            self.order,
            prober,
            journals_of(self.settings),
            even_if_not_media=self.is_single,
            listener=counting,
        )


class _Counting(Listener):
    """Counts the results, and passes every call on to the next listener."""

    def __init__(self, next_one: AddingListener, *, keep: bool) -> None:
        self.skips: list[Skipped] = []
        self.uploads: list[AddedUpload] = []
        self._next, self._keep = next_one, keep
        self._found = self._registered = self._known = self._with_jobs = self._jobs = self._restored = 0
        self._restored_now = set[str]()

    @property
    def counts(self) -> AddedCounts:
        """The counts so far."""
        return AddedCounts(self._found, self._registered, self._known, self._with_jobs, self._jobs, self._restored)

    def found(self, candidate: Candidate) -> None:
        """A file to add was found."""
        self._found += 1
        self._next.found(candidate)

    @override
    def moved(self, size: int) -> None:
        self._next.moved(size)

    @override
    def done_with(self, candidate: Candidate, moved: int, *, stored: bool) -> None:
        self._next.done_with(candidate, moved, stored=stored)

    @override
    def restored(self, upload: Upload) -> None:
        self._restored += 1
        self._restored_now.add(upload.id)
        self._next.restored(upload)

    @override
    def registered(self, found: Sequence[Registered], *, known: bool) -> None:
        self._registered += len(found)
        self._known += len(found) if known else 0
        self._with_jobs += sum(bool(each.jobs) for each in found)
        self._jobs += sum(entry.created for each in found for entry in each.jobs)
        if self._keep:
            self.uploads += [
                AddedUpload(each.upload, not known, each.jobs, each.upload.id in self._restored_now) for each in found
            ]
        self._restored_now.clear()
        self._next.registered(found, known=known)

    @override
    def skipped(self, skipped: Skipped) -> None:
        self.skips.append(skipped)
        self._next.skipped(skipped)
