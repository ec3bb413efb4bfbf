"""The workbench of a `Call` step, within an attempt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from mediajobs_dagster.attempts.checkpoints import StoredCheckpoints
from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.job_types.bench import Client, Installation
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.services.base import ServiceClient, ServiceContext
from mediajobs_dagster.storage import redact, redact_values
from mediajobs_dagster.trace_context import otel_trace_id


@dataclass(frozen=True)
class AttemptBench:
    """A `Bench` that passes what a step reports on to the attempt."""

    folder: Path
    cancellation: Cancellation
    deadline: Deadline
    installation: Installation
    recorder: Recorder
    on_progress: Callable[[float | None], None] = lambda _: None
    _clients: dict[type[ServiceClient], ServiceClient] = field(default_factory=dict[type[ServiceClient], ServiceClient])

    def close(self) -> None:
        """Close the clients of the step."""
        for client in self._clients.values():
            client.close()

    @property
    def checkpoints(self) -> StoredCheckpoints:
        return StoredCheckpoints(self.folder, self.recorder, self.installation.open_storage)

    def check(self) -> None:
        self.cancellation.check()
        self.deadline.check()

    def service(self, kind: type[Client]) -> Client:
        if kind not in self._clients:
            settings, recorder = self.installation.settings, self.recorder
            context = ServiceContext(
                settings,
                self.cancellation,
                self.deadline,
                recorder.add_call,
                begin=recorder.begin_call,
                trace=self._trace,
            )
            self._clients[kind] = kind.open(context)
        return cast("Client", self._clients[kind])

    @property
    def _trace(self) -> str | None:
        trace_id = self.recorder.key.trace_id
        return otel_trace_id(trace_id) if trace_id and self.installation.settings.traces_url else None

    def progress(self, share: float | None) -> None:
        self.check()
        self.on_progress(share)

    def note(self, text: str) -> None:
        self.recorder.note(redact(text))

    def report(self, **figures: JsonObject | str | float | int | bool | None) -> None:
        self.recorder.figures.update(_storable(figures))


def _storable(figures: JsonObject) -> JsonObject:
    """The figures without secrets. Raises ValueError for one that JSON cannot hold: the step fails, not its record."""
    try:
        return redact_values(json.loads(json.dumps(figures, allow_nan=False)))
    except TypeError as error:
        raise ValueError(f"A figure has to be JSON: {error}. Report text, numbers, lists or objects.") from error
