"""Runs take turns by their trace, as jobs do: in Dagster's queue, and by making room for others while they work."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import dagster as dg

from mediajobs_dagster.orchestration import tags

_LOOK_S = 0.5
"""How often a run looks whether others wait for its slot, seconds."""
_LOOKS = 2
"""In how many looks others have to wait before a run makes room: a run that finds a free slot starts sooner."""
_MORE_LOOKS = 4
"""After how many further looks another run makes room too: the first one may be held up by a slow file."""

_log = logging.getLogger(__name__)

Key = tuple[str, str]
"""A lane and a trace."""


def _key(run: dg.DagsterRun) -> Key:
    # A run without a trace, such as one that was started by hand, takes turns by itself.
    return run.tags.get(tags.LANE, ""), run.tags.get(tags.TRACE_ID, run.run_id)


def _priority(run: dg.DagsterRun) -> int:
    value = run.tags.get(tags.PRIORITY, "0")
    return int(value) if value.removeprefix("-").isdigit() else 0


@dataclass
class RunTurns:
    """The order in which queued runs start."""

    _under_way: Counter[Key] = field(default_factory=Counter[Key])
    _served: dict[Key, int] = field(default_factory=dict[Key, int])
    """In which pass the lane last had a run of the trace under way."""
    _passes: int = 0

    def see(self, under_way: Iterable[dg.DagsterRun]) -> None:
        """Take note of the runs that are under way."""
        self._passes += 1
        self._under_way = Counter(map(_key, under_way))
        self._served.update(dict.fromkeys(self._under_way, self._passes))

    def order(self, queued: Sequence[dg.DagsterRun]) -> list[dg.DagsterRun]:
        """Queued runs, the next one first. `queued` is in the order in which they were made.

        Within a priority, it is the turn of the trace with the fewest runs in the lane, then of the one that has had
        none for longest.
        """
        ahead = Counter(self._under_way)
        places: list[tuple[int, int, int, dg.DagsterRun]] = []
        for run in sorted(queued, key=_priority, reverse=True):
            key = _key(run)
            places.append((-_priority(run), ahead[key], self._served.get(key, 0), run))
            ahead[key] += 1
        self._served = {key: at for key, at in self._served.items() if key in ahead}
        return [run for *_, run in sorted(places, key=lambda place: place[:3])]


@dataclass
class RunsTurn:
    """Whether a run of many jobs should end early, because runs of other traces wait for a slot of its lane."""

    instance: dg.DagsterInstance
    run: dg.DagsterRun
    _next_look: float = field(default_factory=lambda: time.monotonic() + _LOOK_S)
    _looks: int = 0
    """In how many looks, one after the other, others waited."""
    _started: int = 0
    """How many runs were at work in the lane when it last looked."""
    _is_over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_over(self) -> bool:
        """Whether it should; once it should, it always should. Cheap enough to ask before each job, from any thread."""
        with self._lock:
            if not self._is_over and time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + _LOOK_S
                try:
                    self._is_over = self._look()
                except Exception as error:  # noqa: BLE001  # to make room is a courtesy, and must not fail the run
                    _log.warning("Whether other runs wait is not known: %s", error)
            return self._is_over

    def _look(self) -> bool:
        waiting = self._traces_waiting()
        if not waiting:
            self._looks = 0
            return False
        started = self.instance.get_runs_count(self._in_lane(dg.DagsterRunStatus.STARTED))
        has_room = started < self._started  # another run has ended, and who waits may start any moment
        self._started = started
        self._looks = 1 if has_room else self._looks + 1
        if self._looks < _LOOKS:
            return False
        # As many runs as traces wait, the one that has been at work for longest first.
        return self._is_among_first(waiting * (1 + (self._looks - _LOOKS) // _MORE_LOOKS))

    def _traces_waiting(self) -> int:
        queued = self.instance.get_runs(self._in_lane(dg.DagsterRunStatus.QUEUED))
        urgency, (_, own) = _priority(self.run), _key(self.run)
        return len({trace for _, trace in map(_key, (run for run in queued if _priority(run) >= urgency))} - {own})

    def _is_among_first(self, count: int) -> bool:
        started = self.instance.get_runs(self._in_lane(dg.DagsterRunStatus.STARTED), limit=count, ascending=True)
        return self.run.run_id in {run.run_id for run in started}

    def _in_lane(self, status: dg.DagsterRunStatus) -> dg.RunsFilter:
        return dg.RunsFilter(statuses=[status], tags={tags.LANE: self.run.tags.get(tags.LANE, "")})
