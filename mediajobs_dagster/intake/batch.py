"""Takes many media files in at once: each is probed, stored, and registered together with others and its jobs.

The work on the first begins while the last is being stored. An intake that was interrupted is simply repeated: whatever
is registered is complete and is known by its origin, and what was stored without being registered is removed.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from threading import BoundedSemaphore
from typing import TypeVar

from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import (
    CancelledError,
    FfmpegMissingError,
    InputTooLargeError,
    InputUnreadableError,
    MediaJobsError,
    OutOfMemoryError,
    StorageUnavailableError,
)
from mediajobs_dagster.history import Registered
from mediajobs_dagster.intake.candidates import Candidate, Skipped, unreadable
from mediajobs_dagster.intake.intake import Intake, Order
from mediajobs_dagster.intake.journal import Journal, sweep
from mediajobs_dagster.media.budget import granted_budget
from mediajobs_dagster.media.images import IMAGE_SUFFIXES, image_info
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import MediaInfo, Upload, new_id
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.side_by_side import side_by_side
from mediajobs_dagster.storage.by_range import RangeServer

Result = TypeVar("Result")

_THREADS = 8
"""Files on their way at once. Storing waits for the disk or the network, so these may be more than there are cores."""
_CHUNK = 200
"""Uploads registered in one transaction; on SQLite it keeps every other writer waiting."""
_IMAGE_BYTES = 256 << 20
"""Of an image, which is read whole."""
_BEAT_S = 1.0
"""What is stored is registered no later than after this many seconds, however little it is."""


class Listener:
    """Is told how an intake gets on: `moved` from any thread, the rest from the one that called."""

    def moved(self, size: int) -> None:
        """So many further bytes are stored; a negative number takes back what will be sent again."""

    def done_with(self, candidate: Candidate, moved: int, *, stored: bool) -> None:
        """A candidate was dealt with, `moved` of its bytes having been told of; it was `stored`, known or skipped."""

    def registered(self, found: Sequence[Registered], *, known: bool) -> None:
        """Uploads are registered, and jobs enqueued on them; `known` ones were registered earlier."""

    def skipped(self, skipped: Skipped) -> None:
        """A candidate was not taken in."""


@dataclass(frozen=True)
class Inspected:
    """What would become of a candidate."""

    candidate: Candidate
    known: bool = False
    info: MediaInfo | None = None
    fault: Skipped | None = None


@dataclass(frozen=True)
class Prober:
    """Tells what a candidate holds; no more than `cores` processes at once."""

    runner: Runner
    slots: BoundedSemaphore
    images: bool = False
    """Whether images are taken too: they are where somebody names one, not where a folder happens to hold some."""
    ranges: RangeServer = field(default_factory=RangeServer)
    """Serves objects to ffprobe."""

    @classmethod
    def from_settings(cls, settings: Settings, *, images: bool = False) -> Prober:
        """Probes as many files side by side as there are cores. Raises FfmpegMissingError."""
        cores = max(1, math.floor(granted_budget().cores))
        return cls(Runner.from_settings(settings, concurrency=cores), BoundedSemaphore(cores), images)

    def probe(self, candidate: Candidate, cancel: Cancellation) -> MediaInfo:
        """Raises the faults of the input, and whatever `media.probe` does."""
        is_image = self.images and Path(candidate.filename).suffix.lower() in IMAGE_SUFFIXES
        if is_image and candidate.bytes > _IMAGE_BYTES:
            size = f"{candidate.bytes >> 20} MiB"
            raise InputTooLargeError(f"{candidate.location} has {size}; no image for a timeline is that large.")
        with self.slots:
            try:
                with candidate.opened(self.ranges, whole=is_image) as address:
                    if is_image:
                        return image_info(Path(address), self.runner.guards.max_pixels)
                    return probe(self.runner, address, size=candidate.bytes, cancel=cancel)
            except OSError as error:
                raise unreadable(Path(candidate.location), error) from error


class BatchIntake:
    """One intake of many files."""

    def __init__(
        self,
        intake: Intake,
        order: Order,
        prober: Prober | None,
        journals: Path,
        *,
        even_if_not_media: bool = False,
        listener: Listener | None = None,
    ) -> None:
        """`journals` is the folder for the record of what is being stored.

        Without a prober nothing is probed, and everything is taken. With `even_if_not_media`, what cannot be probed is
        taken too: its attempts will tell what is wrong with it.
        """
        self._intake, self._order, self._prober, self._journals = intake, order, prober, journals
        self._even_if_not_media = even_if_not_media
        self._listener = listener or Listener()
        self._cancellation = Cancellation()
        self._stored: deque[Upload] = deque()

    def inspect(self, candidates: Iterable[Candidate]) -> Iterator[Inspected]:
        """What would become of the candidates; nothing is stored or registered."""
        unknown: list[Candidate] = []
        for chunk in _chunks(candidates):
            known = self._intake.history.uploads.known([candidate.origin for candidate in chunk])
            unknown += [candidate for candidate in chunk if candidate.origin not in known]
            yield from (Inspected(each, known=True) for each in chunk if each.origin in known)
        with closing(self._side_by_side(self._inspect, unknown)) as results:
            yield from filter(None, results)

    def take(self, candidates: Iterable[Candidate]) -> None:
        """Store and register the candidates, and enqueue their jobs; the listener is told of each.

        Raises the first fault that concerns more than one candidate (a full disk, a storage out of service). Then, and
        when it is interrupted, what is stored by that time is registered first.
        """
        history, storage = self._intake.history, self._intake.storage
        sweep(self._journals, history, storage)
        try:
            with Journal.keep(self._journals) as journal:
                unknown = [candidate for chunk in _chunks(candidates) for candidate in self._take_known(chunk)]
                try:
                    self._take_new(unknown, journal)
                finally:
                    self._register(journal)
        finally:
            sweep(self._journals, history, storage)

    def _take_known(self, chunk: Sequence[Candidate]) -> list[Candidate]:
        """Enqueue the jobs of those that are registered already; returns the others."""
        known = self._intake.history.uploads.known([candidate.origin for candidate in chunk])
        if known:
            self._listener.registered(self._intake.commit(list(known.values()), self._order), known=True)
        for candidate in chunk:
            if candidate.origin in known:
                self._listener.done_with(candidate, 0, stored=False)
        return [candidate for candidate in chunk if candidate.origin not in known]

    def _take_new(self, candidates: Iterable[Candidate], journal: Journal) -> None:
        due = time.monotonic() + _BEAT_S
        with closing(self._side_by_side(partial(self._store, journal), candidates)) as results:
            for stored in results:
                if stored:
                    self._listener.done_with(stored.candidate, stored.moved, stored=stored.fault is None)
                    if stored.fault:
                        self._listener.skipped(stored.fault)
                if len(self._stored) >= _CHUNK or time.monotonic() >= due:
                    self._register(journal)
                    due = time.monotonic() + _BEAT_S

    def _register(self, journal: Journal) -> None:
        while self._stored:
            # Taken out only once they are registered: an interrupt in between has it done again, which does no harm.
            chunk = list(islice(self._stored.copy(), _CHUNK))
            found = self._intake.commit(chunk, self._order)
            for upload in chunk:
                self._stored.popleft()
                journal.settle(upload.id)
            self._listener.registered(found, known=False)

    # --- in a thread -------------------------------------------------------------------------------------------------

    def _side_by_side(
        self, work: Callable[[Candidate], Result], candidates: Iterable[Candidate]
    ) -> Generator[Result | None]:
        stopped = CancelledError("The intake was stopped.")
        stop = partial(self._cancellation.cancel, stopped)
        try:
            yield from side_by_side(work, candidates, threads=_THREADS, beat_s=_BEAT_S, stop=stop)
        finally:
            if self._prober:
                self._prober.ranges.close()

    def _inspect(self, candidate: Candidate) -> Inspected:
        info = self._probe(candidate)
        return Inspected(candidate, fault=info) if isinstance(info, Skipped) else Inspected(candidate, info=info)

    def _store(self, journal: Journal, candidate: Candidate) -> _Stored:
        moved = 0

        def count(size: int) -> None:
            nonlocal moved
            self._cancellation.check()
            moved += size
            self._listener.moved(size)

        info = self._probe(candidate)
        if isinstance(info, Skipped):
            return _Stored(candidate, moved, info)
        upload_id, trace_id = new_id(), self._order.trace_id
        if candidate.own_key is None:
            journal.begin(upload_id)
        try:
            self._stored.append(self._intake.store(candidate, upload_id, trace_id, info=info, on_bytes=count))
        except MediaJobsError as error:
            if not candidate.is_to_blame(error):
                raise
            return _Stored(candidate, moved, candidate.skipped(error))
        return _Stored(candidate, moved)

    def _probe(self, candidate: Candidate) -> MediaInfo | Skipped | None:
        """What the candidate holds; None when that is not known, and it is taken all the same."""
        if self._prober is None:
            return None
        try:
            return self._prober.probe(candidate, self._cancellation)
        except _FAULTS_OF_ALL:
            raise
        except MediaJobsError as error:
            unread = isinstance(error, InputUnreadableError)
            return None if self._even_if_not_media and not unread else candidate.skipped(error)


@dataclass(frozen=True)
class _Stored:
    candidate: Candidate
    moved: int
    fault: Skipped | None = None


_FAULTS_OF_ALL = (CancelledError, FfmpegMissingError, OutOfMemoryError, StorageUnavailableError)
"""Raised while one file is probed, but no other would fare better."""


def _chunks(candidates: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    rest = iter(candidates)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
