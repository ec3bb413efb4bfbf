"""A client of services, and a list of what it recorded."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.models import ServiceCall
from mediajobs_dagster.services.base import ServiceContext
from mediajobs_dagster.services.http import HttpClient
from mediajobs_dagster.settings import Settings
from tests.services.server import REASONABLE_S

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass
class Bench:
    """What a test works with."""

    client: HttpClient
    cancellation: Cancellation
    calls: list[ServiceCall] = field(default_factory=list)

    @property
    def call(self) -> ServiceCall:
        """The one call that there was."""
        (call,) = self.calls
        return call


OpenBench = Callable[..., Bench]


@pytest.fixture
def open_bench(monkeypatch: pytest.MonkeyPatch) -> Generator[OpenBench]:
    """Opens a bench with so many seconds until the deadline, and other settings."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with ExitStack() as stack:

        def open_it(*, deadline_s: float = 2 * REASONABLE_S, trace: str | None = None, **settings: object) -> Bench:
            defaults: dict[str, object] = {"service_retry_base_s": 0.01, "private_addresses": ["127.0.0.0/8", "::1"]}
            calls: list[ServiceCall] = []
            cancellation = Cancellation()
            client = HttpClient.open(
                ServiceContext(
                    Settings.load(_env_file=None, **(defaults | settings)),
                    cancellation,
                    Deadline.after(deadline_s),
                    calls.append,
                    trace=trace,
                )
            )
            stack.callback(client.close)
            return Bench(client, cancellation, calls)

        yield open_it


@pytest.fixture
def bench(open_bench: OpenBench) -> Bench:
    """One with the settings as they are, but for short pauses between tries."""
    return open_bench()
