"""The interface between a `Call` step and its attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.history import History
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.resilience.retention import Sweeper
from mediajobs_dagster.services.base import ServiceClient
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage

Client = TypeVar("Client", bound=ServiceClient)


@dataclass(frozen=True)
class Installation:
    """What the jobs that look after the installation itself work on: clean-up, reports, discovery."""

    settings: Settings
    history: History
    open_storage: Callable[[], Storage]
    """Raises SettingsError."""
    sweepers: tuple[Sweeper, ...] = ()
    """Remove what is kept outside of the history database."""


class Checkpoints(Protocol):
    """Results that steps keep for further attempts, so that nothing is done, or paid for, twice.

    Only for types with `JobType.keeps_checkpoints`. A success removes those that it loaded or saved; others go after a
    week.
    """

    def load(self, fingerprint: str) -> JsonObject | None:
        """What was saved under a fingerprint for the same subject; None: nothing."""
        ...

    def save(self, fingerprint: str, result: JsonObject) -> None:
        """Keep a result. `fingerprint`, letters and digits, has to stand for all that the result depends on."""
        ...


class Bench(Protocol):
    """What a `Call` step works with: a folder, clients of services, and methods that report to the attempt.

    Work that takes long has to call `check` often, or wait in a way that `cancellation` ends.
    """

    @property
    def folder(self) -> Path:
        """The attempt's scratch folder. Sources are in it, outputs have to be; it is removed at the end."""
        ...

    @property
    def installation(self) -> Installation:
        """The installation that the job looks after. Jobs that make media have no use for it."""
        ...

    @property
    def cancellation(self) -> Cancellation:
        """Cancelled when the job is cancelled, the worker stops, or the lease is lost."""
        ...

    @property
    def deadline(self) -> Deadline:
        """When the step has to have ended."""
        ...

    @property
    def checkpoints(self) -> Checkpoints:
        """Results of earlier attempts."""
        ...

    def check(self) -> None:
        """Raise the error that the step was cancelled with, or DeadlineError after the deadline."""
        ...

    def service(self, kind: type[Client]) -> Client:
        """A client of an outside service, the same one in each call.

        Its calls are recorded, and they end when the step is cancelled or its deadline passes.
        """
        ...

    def progress(self, share: float | None) -> None:
        """Report that `share` of this step is done, from 0 to 1; None: unknown. Calls `check` too."""
        ...

    def note(self, text: str) -> None:
        """Add a note to the manifest: something that people should know although it is not an error."""
        ...

    def report(self, **figures: JsonObject | str | float | int | bool | None) -> None:
        """Add figures of the result to the history row and the manifest, such as `added=3`."""
        ...
