"""How soon a thumbnail is done in a cluster, and how many runs a second one worker carries out.

Real PostgreSQL, Redis and S3 servers, code server, daemon and one `mediajobs worker`, all on this machine; each job is
a Dagster run of its own. Submit to done is from the job's row to the end of its attempt.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.report import Row, options, print_report
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.demo_clip import make_demo_clip
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.settings import Settings
from tests.cluster.cluster import Cluster, running_cluster
from tests.servers.postgres import running_postgres
from tests.servers.redis import running_redis
from tests.servers.s3 import running_s3

PATIENCE_S = 600.0


def main() -> None:
    arguments = options(__doc__).parse_args()
    singles, batch = (5, 15) if arguments.quick else (25, 100)
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    with (
        tempfile.TemporaryDirectory(prefix="mediajobs-cluster-") as folder,
        running_postgres() as postgres,
        running_redis(Path(folder) / "redis") as redis,
        running_s3(Path(folder)) as s3,
        running_cluster(Path(folder), postgres, redis, s3) as cluster,
    ):
        clip = Path(folder) / "clip.mp4"
        make_demo_clip(Runner.from_settings(Settings.load()), clip)
        cluster.start_worker("benchmark", "--concurrency", "2")
        rows = [*latency(cluster, clip, singles), throughput(cluster, clip, batch)]
    print_report("A cluster", rows, json_file=arguments.json)


def latency(cluster: Cluster, clip: Path, rounds: int) -> list[Row]:
    """One job after the other, into an idle cluster."""
    beyond: list[float] = []
    for number in range(rounds + 2):
        (job,) = cluster.wait_for_all(cluster.ask(clip, Thumbnail.name), timeout_s=PATIENCE_S)
        (attempt,) = cluster.attempts(job)
        done = (job.updated_at - job.created_at).total_seconds()
        if number >= 2:  # each process of the worker opens its databases at its first run
            beyond.append(done - (attempt.ffmpeg_ms or 0) / 1000)
    what = "submit to done, beyond ffmpeg"
    figure, spread = statistics.median(beyond), (min(beyond), max(beyond))
    return [Row(what, figure, unit="s", budget=1.5, rounds=rounds, spread=spread, note="one thumbnail, idle cluster")]


def throughput(cluster: Cluster, clip: Path, count: int) -> Row:
    """Many jobs at once, each of a trace of its own, so that each is a run."""
    traces = [cluster.ask(clip, Thumbnail.name) for _ in range(count)]
    jobs = cluster.wait_for_all(*traces, timeout_s=PATIENCE_S)
    seconds = (max(job.updated_at for job in jobs) - min(job.created_at for job in jobs)).total_seconds()
    return Row("runs a second", count / seconds, unit="/s", note=f"{count} runs, one worker, two at once")


if __name__ == "__main__":
    main()
