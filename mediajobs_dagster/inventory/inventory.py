"""The use cases on the storage as a whole: what the map says, what there is, and what may go."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from pydantic import Field

from mediajobs_dagster.errors import NotFoundError, RequestError
from mediajobs_dagster.history import History
from mediajobs_dagster.history.actions import Action
from mediajobs_dagster.inventory.collecting import Collected, Collection
from mediajobs_dagster.inventory.report import StorageReport
from mediajobs_dagster.inventory.taking import OnProgress, StockTaking
from mediajobs_dagster.inventory.tally import YOUNG
from mediajobs_dagster.models import Value, utc_now
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, Undo
from mediajobs_dagster.storage.keys import check_key, check_prefix
from mediajobs_dagster.storage.storage_map import OUR_MAP, StorageMap, load_storage_map
from mediajobs_dagster.temporary import temporary_folder

GC, RESTORE = "storage gc", "storage restore"
"""What removals and restorations are called in the list of actions."""


class Restored(Value):
    """What was brought back."""

    removal_id: str
    back: int = Field(description="Objects that are where they were.")
    taken: tuple[str, ...] = Field(description="Keys that other objects have by now; the old ones stay in the trash.")


class Inventory:
    """Storage, history and storage map of one installation. Each is opened when it is first needed."""

    def __init__(
        self,
        settings: Settings,
        history: Callable[[], History],
        storage: Callable[[], Storage],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings, self._history, self._storage, self._now = settings, history, storage, now

    @cached_property
    def map(self) -> StorageMap:
        """What lies under which prefix, and for how long. Raises SettingsError when its file cannot be used."""
        given = self._settings.storage_map
        return load_storage_map(OUR_MAP if given is None else given.expanduser())

    def latest(self) -> StorageReport | None:
        """The newest report on this storage; None: there is none yet."""
        found = self._history().storage_snapshots.latest(self._storage().url)
        return found and StorageReport.model_validate(found.report)

    def take(self, folder: Path | None = None, progress: OnProgress = lambda _: None) -> StorageReport:
        """Walk through the whole storage, and store a report on it.

        `folder` is for working files, some 350 bytes an object; by default a temporary one. What `progress` raises ends
        the walk. Raises StorageError when a listing fails, and then nothing is stored.
        """
        with _folder(folder) as working:
            return StockTaking(
                storage=self._storage(),
                history=self._history(),
                storage_map=self.map,
                price_gb_month=self._settings.storage_price_gb_month,
                folder=working,
                now=self._now(),
                progress=progress,
            ).take()

    def collect(
        self,
        *,
        delete: bool = False,
        prefix: str = "",
        older_than: timedelta = YOUNG,
        limit: int = 50,
        progress: OnProgress = lambda _: None,
    ) -> Collected:
        """What nobody needs, and why; with `delete` it is removed, and recorded among the actions.

        Left alone is all that is younger than a day, that an upload or a current output names, that a running attempt
        writes, or that this history does not know; the last but for what is past the retention of its prefix. The
        answer lists the first `limit` objects. Raises KeyRefusedError for a prefix that no key can have, RequestError
        for one that none has and the storage map does not know, and for an age below a day, and StorageError when the
        storage cannot be listed.
        """
        if older_than < YOUNG:
            raise RequestError("Nothing younger than a day is removed: it may be about to be used. Give a day or more.")
        self._check_that_it_is_known(check_prefix(prefix))
        with temporary_folder("gc") as folder:
            collection = Collection(
                storage=self._storage(),
                history=self._history(),
                storage_map=self.map,
                folder=folder,
                now=self._now,
                prefix=prefix,
                older_than=older_than,
                progress=progress,
                limit=limit,
            )
            if not delete:
                return collection.look()
            try:
                collection.remove()
            finally:
                collected = collection.collected(is_dry=False)
                self._record(collected)
            return collected

    def _check_that_it_is_known(self, prefix: str) -> None:
        known = [entry.prefix for entry in self.map.entries]
        if any(each.startswith(prefix) or prefix.startswith(each) for each in known):
            return
        if next(iter(self._storage().walk(prefix)), None) is None:
            raise RequestError(f"No object's key begins with {prefix}. The storage map knows {', '.join(known)}.")

    def restore(self, removal_id: str) -> Restored:
        """Bring back what a removal put into the trash of a local folder, as long as it is there.

        Raises NotFoundError when there is nothing of it, and RequestError on S3.
        """
        storage = self._storage()
        if storage.undo() is not Undo.TRASH:
            raise RequestError(
                f"{storage.url} has no trash. Where a bucket keeps versions, delete the delete marker of an object to "
                "bring it back."
            )
        taken: list[str] = []
        back = 0
        for key, is_back in storage.put_back(check_key(removal_id)):
            back += is_back
            if not is_back:
                taken.append(key)
        if not back and not taken:
            raise NotFoundError(
                f"The trash holds nothing of a removal {removal_id}. `mediajobs storage gc --delete` says the id."
            )
        self._history().actions.record(Action(action=RESTORE, target=removal_id, count=back))
        return Restored(removal_id=removal_id, back=back, taken=tuple(taken))

    def _record(self, collected: Collected) -> None:
        if collected.removal_id is None:
            return
        details = collected.model_dump(mode="json", by_alias=True, exclude={"objects", "is_dry"})
        self._history().actions.record(
            Action(
                id=collected.removal_id,
                action=GC,
                target=f"{collected.storage}{collected.prefix}",
                count=collected.gone.objects + collected.unfinished,
                reason="; ".join(collected.reasons),
                details=details,
            )
        )


@contextmanager
def _folder(given: Path | None) -> Generator[Path]:
    if given is not None:
        yield given
        return
    with temporary_folder("inventory") as made:
        yield made
