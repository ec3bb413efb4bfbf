"""Keeps to the pace of a site, which all workers share, and stops asking one that wants fewer requests."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from mediajobs_dagster.cancellation import pause
from mediajobs_dagster.errors import ServiceLimitedError, SitePausedError
from mediajobs_dagster.job_types.bench import Bench

_BURST = 3
_LONGEST_WAIT_S = 60.0
"""Who would have to wait for longer gives the job back: others can have the worker meanwhile."""


@contextmanager
def at_pace(bench: Bench, site: str) -> Generator[None]:
    """Wait for a turn at the site; if it wants fewer requests inside of the block, pause it for all workers.

    Raises SitePausedError.
    """
    settings, sites = bench.installation.settings, bench.installation.history.sites
    every_s = 60.0 / settings.ingest_per_minute
    turn = sites.take(site, every_s=every_s, burst=_BURST, longest_s=_LONGEST_WAIT_S)
    if not turn.is_given:
        why = f"It is paused: {turn.reason}" if turn.reason is not None else "Many videos of it wait."
        raise _paused(site, turn.wait_s, why)
    pause(turn.wait_s, bench.cancellation, bench.deadline)
    try:
        yield
    except ServiceLimitedError as error:
        seconds = settings.ingest_pause_s if error.retry_after_s is None else error.retry_after_s
        left_s = sites.pause(site, seconds, error.message)
        raise _paused(site, left_s, error.message) from error
    sites.answered(site)


def _paused(site: str, seconds: float, why: str) -> SitePausedError:
    return SitePausedError(f"{site} is not asked for {seconds:.0f} s. {why}", retry_after_s=seconds)
