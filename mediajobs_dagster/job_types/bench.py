"""What a `Call` step works with."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.services.base import ServiceClient

Client = TypeVar("Client", bound=ServiceClient)


class Bench(Protocol):
    """The workbench of a `Call`: a folder, clients of services, and what tells the attempt how it goes.

    Whatever blocks for long has to look at `check`, or wait in a way that `cancellation` ends.
    """

    @property
    def folder(self) -> Path:
        """The attempt's scratch folder: sources lie there, outputs are expected there. Removed at the end."""
        ...

    @property
    def cancellation(self) -> Cancellation:
        """Cancelled when the job is cancelled, the worker is told to stop, or the lease is lost."""
        ...

    @property
    def deadline(self) -> Deadline:
        """When the step has to be done."""
        ...

    def check(self) -> None:
        """Raise what the step was cancelled with, or DeadlineError when its time is over."""
        ...

    def service(self, kind: type[Client]) -> Client:
        """A client of an outside service, which works within this step: its calls are recorded, end with the
        cancellation and at the deadline. The same client each time.
        """
        ...

    def progress(self, share: float | None) -> None:
        """So much of this step is done, from 0 to 1; None: nobody knows. It looks at `check`, too."""
        ...

    def note(self, text: str) -> None:
        """What a person should know although it is no error; it stands in the manifest."""
        ...

    def report(self, **figures: JsonObject | str | float | int | bool | None) -> None:
        """Figures of the result, such as `added=3`: they stand in the history row and in the manifest."""
        ...
