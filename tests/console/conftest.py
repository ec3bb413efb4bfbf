"""The console's app on a history of its own, asked as clients ask it."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from mediajobs_dagster.console.app import console_app
from mediajobs_dagster.orchestration.instance import open_instance
from mediajobs_dagster.orchestration.outside import FromDagster
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.console.client import Client
from tests.platform import Platform
from tests.servers.asgi import serving


async def dagster_ui(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands where Dagster's app does; answers with the path that it was asked for."""
    await PlainTextResponse(scope["path"])(scope, receive, send)


@pytest.fixture
def media(platform: Platform) -> MediaJobs:
    """The use cases of an installation that the test works on too."""
    return platform.media


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """A Dagster without any run."""
    settings = Settings.load(_env_file=None, home=tmp_path_factory.mktemp("dagster"))
    with MediaJobs(settings) as media, pytest.MonkeyPatch.context() as patch:
        media.check()
        patch.setenv("MEDIAJOBS_HOME", str(settings.home))  # Dagster's storages ask for it when they are opened
        with open_instance(settings) as instance:
            _ = instance.run_storage, instance.event_log_storage, instance.schedule_storage
            patch.undo()
            yield instance


@pytest.fixture
def outside(media: MediaJobs, instance: dg.DagsterInstance) -> FromDagster:
    """What Dagster tells the console."""
    return FromDagster(media, instance)


@pytest.fixture
def client(media: MediaJobs, outside: FromDagster) -> Iterator[Client]:
    """A client of the console, by HTTP."""
    with serving(console_app(media, outside, dagster_ui)) as url:
        yield Client(url)
