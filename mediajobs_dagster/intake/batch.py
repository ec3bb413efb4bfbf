"""Adds many media files: each is probed and stored, and registered in chunks together with its jobs.

The jobs of the first files can run while the last files are being stored. After an interruption, repeat the intake:
what is registered is complete and found by its origin, and what was stored but not registered is removed.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from threading import BoundedSemaphore
from typing import TypeVar

from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import (
    CancelledError,
    FfmpegMissingError,
    InputRefusedError,
    InputTooLargeError,
    InputUnprocessableError,
    InputUnreadableError,
    MediaJobsError,
    StorageUnavailableError,
)
from mediajobs_dagster.history import Registered
from mediajobs_dagster.intake.candidates import Candidate, Skipped, unreadable
from mediajobs_dagster.intake.intake import Intake, Order
from mediajobs_dagster.intake.journal import Journal, sweep
from mediajobs_dagster.media.budget import granted_budget
from mediajobs_dagster.media.heif import HEAD_BYTES, heif_coding
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.media.trial_clip import make_trial_clip
from mediajobs_dagster.models import MediaInfo, Upload, new_id
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.side_by_side import side_by_side
from mediajobs_dagster.storage.by_range import RangeServer
from mediajobs_dagster.temporary import temporary_folder

Result = TypeVar("Result")

_THREADS = 8
"""Files in work at once. Storing waits for the disk or the network, so there may be more of them than cores."""
_CHUNK = 200
"""Uploads registered in one transaction; on SQLite it keeps every other writer waiting."""
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")
"""The endings of image files' names. HEIC and AVIF are images under any name."""
_IMAGE_BYTES = 256 << 20
"""The most bytes of an image, which is read whole."""
_BEAT_S = 1.0
"""Stored files are registered at least this often, seconds, even if they are few."""


class Listener:
    """Gets the progress of an intake: `moved` is called from any thread, the others from the calling thread."""

    def moved(self, size: int) -> None:
        """`size` more bytes are stored; a negative number takes back bytes that will be sent again."""

    def done_with(self, candidate: Candidate, moved: int, *, stored: bool) -> None:
        """A candidate is done: it was `stored`, or was known or skipped. `moved` of its bytes were reported before."""

    def restored(self, upload: Upload) -> None:
        """The content of a known upload was gone from the storage, and is stored again."""

    def registered(self, found: Sequence[Registered], *, known: bool) -> None:
        """Uploads are registered and their jobs enqueued; with `known` they were registered before."""

    def skipped(self, skipped: Skipped) -> None:
        """A candidate was not added."""


@dataclass(frozen=True)
class Inspected:
    """What adding a candidate would do."""

    candidate: Candidate
    known: bool = False
    info: MediaInfo | None = None
    fault: Skipped | None = None


@dataclass(frozen=True)
class Prober:
    """Probes candidates; `slots` limits the processes at once."""

    runner: Runner
    slots: BoundedSemaphore
    images: bool = False
    """Whether images are accepted: an image that is named by itself is, images in a folder are not."""
    ranges: RangeServer = field(default_factory=RangeServer)
    """Serves objects to ffprobe."""

    @classmethod
    def from_settings(cls, settings: Settings, *, images: bool = False) -> Prober:
        """A prober of as many files at once as there are cores. Raises FfmpegMissingError."""
        cores = max(1, math.floor(granted_budget().cores))
        return cls(Runner.from_settings(settings, concurrency=cores), BoundedSemaphore(cores), images)

    def probe(self, candidate: Candidate, cancel: Cancellation) -> MediaInfo:
        """The media info of a candidate. Raises the faults of the input, and what `media.probe` raises."""
        is_heif = self._is_heif(candidate)
        if is_heif and not self.images:
            raise InputRefusedError
        is_image = is_heif or (self.images and Path(candidate.filename).suffix.lower() in _IMAGE_SUFFIXES)
        if is_image and candidate.bytes > _IMAGE_BYTES:
            size = f"{candidate.bytes >> 20} MiB"
            raise InputTooLargeError(
                f"{candidate.location} has {size}; an image may have {_IMAGE_BYTES >> 20} MiB at most."
            )
        with self.slots:
            try:
                with candidate.opened(self.ranges, whole=is_image) as address:
                    if is_image:
                        # Pillow takes a while to load; most files are no images.
                        from mediajobs_dagster.media.images import image_info

                        return image_info(Path(address), self.runner.guards.max_pixels, cancel)
                    return probe(self.runner, address, size=candidate.bytes, cancel=cancel)
            except OSError as error:
                raise unreadable(Path(candidate.location), error) from error

    def _is_heif(self, candidate: Candidate) -> bool:
        """Whether a candidate is a HEIC or AVIF picture, which ffprobe takes for a video."""
        try:
            return heif_coding(candidate.head(HEAD_BYTES)) is not None
        except OSError as error:
            raise unreadable(Path(candidate.location), error) from error

    def judged(self, error: MediaJobsError) -> MediaJobsError:
        """The error that explains `error`, which no message does: the input, if a small clip can be probed here."""
        if not self._can_probe:
            return error
        return InputUnprocessableError.of(error, "a test clip can be probed on this machine")

    @cached_property
    def _can_probe(self) -> bool:
        """Whether this machine can make a small clip and probe it; tried once."""
        with temporary_folder("trial") as folder:
            try:
                make_trial_clip(self.runner, folder)
            except MediaJobsError:
                return False
        return True


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
        """`journals` is the folder of the journals of what is being stored.

        Without a prober nothing is probed, and every file is added. With `even_if_not_media`, a file that cannot be
        probed is added too; its attempts will report what is wrong with it.
        """
        self._intake, self._order, self._prober, self._journals = intake, order, prober, journals
        self._even_if_not_media = even_if_not_media
        self._listener = listener or Listener()
        self._cancellation = Cancellation()
        self._stored: deque[Upload] = deque()

    def inspect(self, candidates: Iterable[Candidate]) -> Iterator[Inspected]:
        """What adding each candidate would do; nothing is stored or registered."""
        unknown: list[Candidate] = []
        for chunk in _chunks(candidates):
            known = self._intake.history.uploads.known([candidate.origin for candidate in chunk])
            unknown += [candidate for candidate in chunk if candidate.origin not in known]
            yield from (Inspected(each, known=True) for each in chunk if each.origin in known)
        with closing(self._side_by_side(self._inspect, unknown)) as results:
            yield from filter(None, results)

    def take(self, candidates: Iterable[Candidate]) -> None:
        """Store and register the candidates, and enqueue their jobs; the listener is called for each.

        Raises the first fault that concerns all candidates (a full disk, a storage out of reach). Before that, and
        after an interrupt, it registers what is stored.
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
        """Enqueue the jobs of the candidates that are registered already; returns the others."""
        known = self._intake.history.uploads.known([candidate.origin for candidate in chunk])
        if known:
            whole = self._restored(known, [candidate for candidate in chunk if candidate.origin in known])
            self._listener.registered(self._intake.commit(list(whole.values()), self._order), known=True)
        for candidate in chunk:
            if candidate.origin in known:
                self._listener.done_with(candidate, 0, stored=False)
        return [candidate for candidate in chunk if candidate.origin not in known]

    def _restored(self, known: dict[str, Upload], candidates: Sequence[Candidate]) -> dict[str, Upload]:
        """Known uploads by their origins, after what is gone of them was stored again."""

        def count(size: int) -> None:
            self._cancellation.check()
            self._listener.moved(size)

        def restore(candidate: Candidate) -> tuple[str, Upload] | Skipped:
            self._cancellation.check()
            try:
                return candidate.origin, self._intake.restore(candidate, known[candidate.origin], count)
            except MediaJobsError as error:
                if not candidate.is_to_blame(error):
                    raise
                return candidate.skipped(error)

        restored: dict[str, Upload] = {}
        stop = partial(self._cancellation.cancel, CancelledError("The intake was stopped."))
        with closing(side_by_side(restore, candidates, threads=_THREADS, beat_s=_BEAT_S, stop=stop)) as results:
            for found in filter(None, results):
                if isinstance(found, Skipped):
                    self._listener.skipped(found)
                    continue
                origin, upload = found
                restored.setdefault(origin, upload)
                if upload is not known[origin]:  # its etag may be that of before
                    self._listener.restored(upload)
        return restored

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
            # Removed only after they are registered: after an interrupt in between it is done again, which is harmless.
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
        """The candidate's media info; None if it is unknown and the candidate is added anyway."""
        if self._prober is None:
            return None
        try:
            return self._prober.probe(candidate, self._cancellation)
        except _FAULTS_OF_ALL:
            raise
        except MediaJobsError as error:
            if error.may_be_input:
                error = self._prober.judged(error)
            unread = isinstance(error, InputUnreadableError)
            return None if self._even_if_not_media and not unread else candidate.skipped(error)


@dataclass(frozen=True)
class _Stored:
    candidate: Candidate
    moved: int
    fault: Skipped | None = None


_FAULTS_OF_ALL = (CancelledError, FfmpegMissingError, StorageUnavailableError)
"""Errors of one file that would hit every other file too."""


def _chunks(candidates: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    rest = iter(candidates)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
