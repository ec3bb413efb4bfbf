"""What the commands share: settings, history and storage, opened when a command first needs them."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from types import TracebackType

from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, open_storage


class Session:
    """One call of the command line: a context that closes what was opened in it."""

    def __init__(self) -> None:
        self._opened = ExitStack()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    @cached_property
    def settings(self) -> Settings:
        """The settings of the environment."""
        return Settings.load()

    @cached_property
    def registry(self) -> Registry:
        """The job types."""
        return Registry.standard()

    @cached_property
    def history(self) -> History:
        """The history database."""
        opened = History.open(self.settings.database_url, timeout_s=self.settings.database_timeout_s)
        return self._opened.enter_context(opened)

    @cached_property
    def storage(self) -> Storage:
        """The object storage."""
        return open_storage(self.settings)
