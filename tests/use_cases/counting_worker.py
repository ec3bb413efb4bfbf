"""A worker that claims jobs, ends them as a seed decides, and waits with the last one: `python -m … URL SEED CLAIMS`.

It prints a line when it has claimed the last one; then it waits to be killed.
"""

from __future__ import annotations

import random
import signal
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


def work(history: History, seed: int, claims: int | None = None) -> None:
    """Until no job is due, or until it has claimed so many: it never ends the last one."""
    chance = random.Random(seed)
    claimed = 0
    while dispatch := history.leases.assign(THUMB, limit=1, lease_s=60):
        claim = history.leases.claim(dispatch.id, run_id="run-1", host=f"worker-{seed}", lease_s=60)
        assert claim is not None
        claimed += 1
        if claimed == claims:
            sys.stdout.write("claimed\n")
            sys.stdout.flush()
            signal.pause()
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


if __name__ == "__main__":
    with History.open(sys.argv[1], timeout_s=60) as opened:
        work(opened, int(sys.argv[2]), int(sys.argv[3]))
