"""A video site on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.discovery.video_site import VideoSite, running_site


@pytest.fixture
def site() -> Iterator[VideoSite]:
    """A video site with nothing on it."""
    with running_site() as running:
        yield running
