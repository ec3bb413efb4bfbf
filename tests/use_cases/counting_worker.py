"""A worker that claims jobs and ends them as a seed decides, until it is killed: `python -m … URL SEED`.

It prints a line when it has claimed one, and one when it has ended it.
"""

from __future__ import annotations

import random
import sys

from mediajobs_dagster.history import History
from mediajobs_dagster.history.series import Tally
from mediajobs_dagster.models import AttemptStatus, JobStatus
from tests.history.factories import THUMB, ended

ENDS = {
    AttemptStatus.SUCCESS: JobStatus.COMPLETED,
    AttemptStatus.FAILURE: JobStatus.FAILED,
    AttemptStatus.SKIPPED: JobStatus.SKIPPED,
}


def work(history: History, seed: int) -> None:
    """Until no job is due."""
    chance = random.Random(seed)
    while dispatch := history.leases.assign(THUMB, limit=1, lease_s=60):
        claim = history.leases.claim(dispatch.id, run_id="run-1", host=f"worker-{seed}", lease_s=60)
        assert claim is not None
        _say("claimed")
        status = chance.choice([AttemptStatus.SUCCESS, *ENDS])
        end = ended(claim, status, duration_ms=chance.randrange(100_000))
        tally = Tally()
        tally.time("worker.stage_latency_ms", end.duration_ms or 0, stage="ffmpeg")
        finished = history.leases.finish(
            end,
            job_status=ENDS[status],
            pause_s=0.0 if status is AttemptStatus.FAILURE else None,
            measures=tally.measures,
        )
        assert finished is not None
        _say("ended")


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with History.open(sys.argv[1], timeout_s=60) as opened:
        work(opened, int(sys.argv[2]))
