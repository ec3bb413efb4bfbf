"""The workbench of a `Call` step, within an attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.job_types.bench import Client
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.services.base import ServiceClient, ServiceContext
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import redact


@dataclass(frozen=True)
class AttemptBench:
    """A `Bench`. It hands on to the attempt what a step tells."""

    folder: Path
    cancellation: Cancellation
    deadline: Deadline
    settings: Settings
    recorder: Recorder
    on_progress: Callable[[float | None], None] = lambda _: None
    _clients: dict[type[ServiceClient], ServiceClient] = field(default_factory=dict[type[ServiceClient], ServiceClient])

    def close(self) -> None:
        """The step is over: its clients give back what they hold."""
        for client in self._clients.values():
            client.close()

    def check(self) -> None:
        self.cancellation.check()
        self.deadline.check()

    def service(self, kind: type[Client]) -> Client:
        if kind not in self._clients:
            context = ServiceContext(self.settings, self.cancellation, self.deadline, self.recorder.add_call)
            self._clients[kind] = kind.open(context)
        return cast("Client", self._clients[kind])

    def progress(self, share: float | None) -> None:
        self.check()
        self.on_progress(share)

    def note(self, text: str) -> None:
        self.recorder.notes.append(redact(text))

    def report(self, **figures: JsonObject | str | float | int | bool | None) -> None:
        self.recorder.figures.update(figures)
