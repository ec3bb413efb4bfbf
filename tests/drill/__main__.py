"""Strikes at an installation at random while it works: `python -m tests.drill --engine embedded --seed 1`.

Processes of runs, the daemon, the code server, the supervisor, workers and ffmpeg are killed (SIGKILL) and frozen
(SIGSTOP, then SIGCONT), and the database is taken away for moments, while jobs of every kind come in, some of them on
hostile files. `half-broken` is a cluster in which ffmpeg is broken on one of two machines. At the end nothing may be
lost, doubled, wrongly blamed or left behind; the exit code is 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.media.tools import find_tools
from mediajobs_dagster.models import JobStatus
from tests.clips import Clips
from tests.drill.site import Site, clustered, embedded, half_broken
from tests.drill.strikes import Striker
from tests.drill.verdict import Verdict
from tests.drill.work import Work
from tests.hostile.clips import real_clips
from tests.hostile.fuzzed import fuzzed_files
from tests.hostile.made import made_files

SITES = {"embedded": embedded, "cluster": clustered, "half-broken": half_broken}
STILL_S = 180.0
"""Jobs of which none has begun or ended for so long after the last strike wait for ever, seconds."""
SETTLE_S = 1200.0
"""And they are all over by then, seconds: a busy machine takes longer, but not that long."""
_FUZZED = 30
_OPEN = tuple(status for status in JobStatus if not status.is_final)


def drill(engine: str, *, seconds: float, jobs: int, seed: int, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Strike at an installation for that long; its figures and its faults."""
    chance = random.Random(seed)
    clips = Clips(folder / "clips", find_tools())
    hostile = _hostile_files(clips, seed)
    with SITES[engine](folder) as site:
        work, striker = Work(site.platform, clips.folder), Striker(site, chance)
        _strike(site, work, striker, work.ask(jobs, clips, hostile, chance), seconds=seconds, jobs=jobs)
        settled_s = _settle(site, work)
        site.stop()
        verdict = Verdict(site, work)
        faults = verdict.faults()
        made = [each for found in verdict.attempts.values() for each in found]
        failed = Counter(each.host for each in made if each.blame is Blame.SYSTEM)
        figures = {
            "engine": engine,
            "seed": seed,
            "jobs": dict(Counter(job.status.value for job in verdict.jobs)),
            "kinds": dict(sorted(Counter(job.job_type for job in verdict.jobs).items())),
            "attempts": dict(Counter(each.status.value for each in made)),
            "systemFaults": {str(host): number for host, number in failed.items()},
            "quarantined": sorted(work.quarantined),
            "strikes": dict(sorted(striker.struck.items())),
            "settledS": round(settled_s, 1),
        }
    return figures, faults


def _hostile_files(clips: Clips, seed: int) -> list[Path]:
    real = real_clips(clips.tools, clips.folder)
    made = [(name, data) for name, data in made_files(real).items() if name.startswith("cmov")]
    paths = [clips.text_named_mp4(), clips.cut_before_index()]
    for name, data in (*made, *fuzzed_files(real, _FUZZED, seed)):
        paths.append(clips.folder / name)
        paths[-1].write_bytes(data)
    return paths


def _strike(site: Site, work: Work, striker: Striker, asking: Iterator[int], *, seconds: float, jobs: int) -> None:
    """Ask for jobs over three quarters of the time, and strike until its end."""
    begin, asked, next_strike = time.monotonic(), 0, 0.0
    try:
        while (passed := time.monotonic() - begin) < seconds:
            if asked < min(jobs, jobs * passed / (0.75 * seconds)):
                asked += next(asking, jobs)
            if passed >= next_strike:
                striker.strike()
                next_strike = passed + striker.pause()
                _show(site, f"{passed:3.0f} s, {sum(striker.struck.values())} strikes")
            site.mend()
            work.look()
            time.sleep(0.05)
        for _ in asking:
            pass
    finally:
        striker.thaw()


def _settle(site: Site, work: Work) -> float:
    """Wait until every job is over; the seconds that took."""
    begin = moved_at = time.monotonic()
    before = Counter[str]()
    while (passed := time.monotonic() - begin) < SETTLE_S and time.monotonic() - moved_at < STILL_S:
        site.mend()
        work.look()
        if not site.platform.history.jobs.list(JobFilter(statuses=_OPEN), limit=1):
            break
        now = _show(site, f"settling, {passed:3.0f} s")
        if now != before:
            before, moved_at = now, time.monotonic()
        time.sleep(0.5)
    return time.monotonic() - begin


def _show(site: Site, what: str) -> Counter[str]:
    """Print how many jobs have which status; returns that."""
    by_status = Counter[str]()
    for counts in site.platform.history.jobs.counts().values():
        by_status.update({status.value: number for status, number in counts.items() if number})
    print(f"{what}: {', '.join(f'{number} {status}' for status, number in by_status.items())}", file=sys.stderr)
    return by_status


def main() -> int:
    """Drill and tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=SITES, action="append", help="can be repeated; default: all")
    parser.add_argument("--seconds", type=float, default=180, help="how long to strike, for each engine (180)")
    parser.add_argument("--jobs", type=int, default=200, help="how many jobs to ask for (200)")
    parser.add_argument("--seed", type=int, default=1, help="what is picked at random starts from it (1)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    failed = False
    for engine in options.engine or SITES:
        with tempfile.TemporaryDirectory(prefix="mediajobs-drill-") as folder:
            (Path(folder) / "clips").mkdir()
            figures, faults = drill(
                engine, seconds=options.seconds, jobs=options.jobs, seed=options.seed, folder=Path(folder)
            )
        failed = failed or bool(faults)
        _tell(figures, faults, as_json=options.json)
    return 1 if failed else 0


def _tell(figures: dict[str, Any], faults: list[str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures | {"faults": faults}))
        return
    for name, figure in figures.items():
        shown = ", ".join(f"{value} {key}" for key, value in figure.items()) if isinstance(figure, dict) else figure
        print(f"{name:10} {shown}")
    print("\n".join(faults) or "Nothing was lost, doubled, wrongly blamed or left behind.")


if __name__ == "__main__":
    sys.exit(main())
