"""The hook into Dagster's code server that makes runs start at once."""

from __future__ import annotations

import logging
import multiprocessing
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mediajobs_dagster.orchestration.serving.run_processes import make_runs_warm


def test_missing_hook_is_said_loudly_and_leaves_the_stock_path(caplog: pytest.LogCaptureFixture) -> None:
    """Another Dagster without the private attribute: a warning that says what to do, and nothing is changed."""
    server = SimpleNamespace()
    with caplog.at_level(logging.WARNING):
        assert make_runs_warm(cast(Any, server)) is False
    assert "runs start the slow way" in caplog.text
    assert "Install the Dagster version that mediajobs is locked to" in caplog.text
    assert vars(server) == {}


def test_processes_are_forks_of_a_server_that_has_imported_the_definitions() -> None:
    """The interpreter of a run has everything loaded, and no thread of the server's."""
    server = SimpleNamespace(_mp_ctx=multiprocessing.get_context("spawn"))
    assert make_runs_warm(cast(Any, server)) is True
    context: Any = server._mp_ctx
    answers = context.Queue()
    process = context.Process(target=_look_around, args=(answers,))
    process.start()
    loaded, threads = answers.get(timeout=120)
    process.join(30)
    assert loaded
    assert threads == {"MainThread", "mediajobs-parent-watch"}
    assert process.exitcode == 0


def _look_around(answers: Any) -> None:
    import sys
    import threading

    wanted = {"dagster._grpc.impl", "mediajobs_dagster.definitions", "mediajobs_dagster.orchestration.embedded"}
    answers.put((wanted <= sys.modules.keys(), {thread.name for thread in threading.enumerate()}))
