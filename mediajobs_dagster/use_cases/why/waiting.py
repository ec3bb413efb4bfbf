"""Why a job waits: every cause that holds, the one that has to go first at the front."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from mediajobs_dagster.history import History
from mediajobs_dagster.history.places import COUNTED
from mediajobs_dagster.models import Job
from mediajobs_dagster.printable import counted
from mediajobs_dagster.resilience.held import Held, HeldBy
from mediajobs_dagster.resilience.hosts import Quarantine
from mediajobs_dagster.resilience.states import moment_words
from mediajobs_dagster.use_cases.why.answer import Cause, CauseKind
from mediajobs_dagster.use_cases.why.signs import LaneUse, RunSign, RunStage, Signs

_NAMED_RUNS = 3


@dataclass(frozen=True)
class Waiting:
    """What is known around a job that waits."""

    history: History
    job: Job
    at: datetime
    held: Held | None
    """What holds back jobs of its type."""
    quarantine: Quarantine | None
    """That of this machine, if runs execute here."""
    lane: str | None
    """None: its type is not installed."""
    signs: Signs | None
    """None: nobody was asked who knows of runs."""

    def causes(self) -> Iterator[Cause]:
        """Every cause; one at least."""
        if self.job.dispatch_id:
            yield from self._in_run(self.job.dispatch_id)
            return
        found = [*self._held_back(), *self._in_queue()]
        yield from found or [Cause(CauseKind.STARTING, "Nothing keeps it: it is started next.")]

    # --- in the queue ------------------------------------------------------------------------------------------------

    def _held_back(self) -> Iterator[Cause]:
        if self.held:
            # What holds back a whole type, a quota included, says so itself.
            until = self.held.retry_at if self.held.retry_at and self.held.retry_at > self.at else None
            yield Cause(CauseKind(self.held.by.value), f"{_sentence(self.held.cause)}{self._to_close()}", until)
        if self.quarantine:
            yield Cause(CauseKind.HOST, self.quarantine.reason, self.quarantine.retry_at)
        due = self.job.not_before
        if due and due > self.at:
            yield Cause(
                CauseKind.PAUSE,
                f"Its last try ended with {self.job.error_code}, and it pauses until {moment_words(due, self.at)}.",
                due,
            )

    def _to_close(self) -> str:
        """How to close a breaker that opened by itself; of one that a person opened the cause says so."""
        if not self.held or self.held.by is not HeldBy.BREAKER or self.held.by_hand:
            return ""
        return f" If that is mended, `mediajobs breaker close {self.job.job_type}` lets it start now."

    def _in_queue(self) -> Iterator[Cause]:
        if self.signs and (nobody := self._nobody(self.signs)):
            yield nobody
        lane = self.signs.lane(self.lane) if self.signs and self.lane else None
        if lane and lane.is_full:
            yield Cause(CauseKind.LANE, _full(lane, self.at))
        ahead = self.history.places.ahead_in_queue(self.job.id)
        if ahead:
            more = "At least " if ahead >= COUNTED else ""
            jobs = counted(ahead, f"{self.job.job_type} job")
            yield Cause(CauseKind.POSITION, f"{more}{jobs} {'is' if ahead == 1 else 'are'} before it in the queue.")

    def _nobody(self, signs: Signs) -> Cause | None:
        """Nobody is there to start it: no sign of life of a daemon, and nobody keeps a lease."""
        leased = self.history.jobs.leased()
        if signs.starter() or (leased.until and leased.until > self.at):
            return None
        return Cause(
            CauseKind.NOBODY,
            "Nothing is running that would start it. Start `mediajobs up`, or run what waits with `mediajobs work`.",
        )

    # --- in a run ----------------------------------------------------------------------------------------------------

    def _in_run(self, dispatch_id: str) -> Iterator[Cause]:
        lease = self.job.lease_expires_at
        until = f" at {moment_words(lease, self.at)}" if lease else ""
        if self.signs is None:
            yield Cause(CauseKind.BATCH, f"A run has been given it, and keeps it by a lease that ends{until}.", lease)
            return
        run = self.signs.run_of(dispatch_id)
        if run is None or run.stage is RunStage.OVER:
            told = f"Run {run.run_id}, which had it, is over" if run else "The run that should have it is gone"
            yield Cause(CauseKind.RUN_GONE, f"{told}. It goes back into the queue when its lease ends{until}.", lease)
        elif run.stage is RunStage.STARTED:
            ahead = self.history.places.ahead_in_dispatch(self.job.id)
            jobs = f"{counted(ahead, 'job')} of its batch {'is' if ahead == 1 else 'are'} before it"
            yield Cause(CauseKind.BATCH, f"Run {run.run_id} has it and works on others of its batch; {jobs}.")
        else:
            yield from self._in_run_that_waits(run, self.signs)

    def _in_run_that_waits(self, run: RunSign, signs: Signs) -> Iterator[Cause]:
        since = f" since {moment_words(run.since, self.at)}" if run.since else ""
        where = f" in the cluster's queue {run.queue}" if run.queue and run.stage is RunStage.STARTING else ""
        worker = " No worker of that queue has taken it; start one: `mediajobs worker`." if where else ""
        yield Cause(
            CauseKind.RUN_WAITS, f"Run {run.run_id} has it, and has been waiting to start{where}{since}.{worker}"
        )
        if nobody := self._nobody(signs):
            yield nobody
        lane = signs.lane(self.lane) if self.lane else None
        if lane and lane.is_full:
            yield Cause(CauseKind.LANE, _full(lane, self.at))


def _full(lane: LaneUse, at: datetime) -> str:
    runs = ", ".join(f"{run.about or 'run'} ({run.run_id[:8]})" for run in lane.at_work[:_NAMED_RUNS])
    more = f" and {len(lane.at_work) - _NAMED_RUNS} more" if len(lane.at_work) > _NAMED_RUNS else ""
    since = min((run.since for run in lane.at_work if run.since), default=None)
    oldest = f", the first since {moment_words(since, at)}" if since else ""
    waiting = f"; {counted(lane.waiting, 'run')} wait for one" if lane.waiting else ""
    slots = counted(lane.limit or 0, "slot")
    return f"The {lane.lane} lane is full: its {slots} work on {runs}{more}{oldest}{waiting}."


def _sentence(clause: str) -> str:
    return f"{clause[0].upper()}{clause[1:]}."
