"""What every client of an outside service is given, and how it is opened."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.models import ServiceCall
from mediajobs_dagster.settings import Settings


@dataclass(frozen=True)
class ServiceContext:
    """The settings and limits that a client works with, and where it reports its calls."""

    settings: Settings
    cancellation: Cancellation
    """Ends every call at once, with the error that the work was cancelled with."""
    deadline: Deadline
    """Ends every call with DeadlineError when it is over."""
    record: Callable[[ServiceCall], None]
    """Called exactly once for each call, before its result is returned or its error is raised. From any thread."""
    begin: Callable[[str, str, str], None] = lambda _service, _op, _target: None
    """May be called when a call begins, with service, operation and address; the address must hold no secret."""
    trace: str | None = None
    """The trace that each call is part of, as OpenTelemetry knows it; None: no service is told of one."""


class ServiceClient(ABC):
    """Calls an outside service. Safe to use from several threads of one attempt."""

    @classmethod
    @abstractmethod
    def open(cls, context: ServiceContext) -> Self:
        """A client that works within `context`. It does not contact the service yet."""

    @abstractmethod
    def close(self) -> None:
        """Release what the client holds, such as open connections."""
