"""A site, and an installation that may fetch from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.clips import Clips
from tests.ingest.site import Site, running_site
from tests.platform import Platform
from tests.services.conftest import PROXIES

OpenPlatform = Callable[..., Platform]


@pytest.fixture
def site() -> Iterator[Site]:
    """A site on loopback."""
    with running_site() as running:
        yield running


@pytest.fixture
def clip(clips: Clips) -> bytes:
    """A small video with sound."""
    return clips.landscape().read_bytes()


@pytest.fixture
def open_fetching(open_platform: OpenPlatform, monkeypatch: pytest.MonkeyPatch) -> OpenPlatform:
    """Opens a platform that fetches from loopback and asks as often as it likes."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def open_it(**settings: Any) -> Platform:
        quick = {"service_retry_base_s": 0.01, "ingest_per_minute": 60_000.0}
        return open_platform(**(quick | settings))

    return open_it


@pytest.fixture
def fetching(open_fetching: OpenPlatform) -> Platform:
    """One with the settings as they are, but for that."""
    return open_fetching()
