"""What every client of an outside service is made from."""

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
    """What a client works within."""

    settings: Settings
    cancellation: Cancellation
    deadline: Deadline
    record: Callable[[ServiceCall], None]
    """Called exactly once for each call, before anything leaves it."""


class ServiceClient(ABC):
    """A client of an outside service. A job type asks its bench for one by its class."""

    @classmethod
    @abstractmethod
    def open(cls, context: ServiceContext) -> Self:
        """A client that works within `context`."""
