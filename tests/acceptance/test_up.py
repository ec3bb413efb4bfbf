"""`mediajobs up`, used and maltreated: what is asked for starts at once, and nothing that dies takes work with it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import mediajobs_dagster
from mediajobs_dagster.errors import IllegalTransitionError
from mediajobs_dagster.history import AttemptFilter, JobFilter
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import Attempt, AttemptStatus, Job, JobStatus, Upload
from mediajobs_dagster.orchestration.sensors import SAFETY_NET_S
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.platform import Platform
from tests.processes import is_gone
from tests.servers.dagster_dev import PROJECT
from tests.servers.mediajobs_up import MediajobsUp, command_line, free_port, running_up
from tests.servers.postgres import running_postgres, start_postgres

THUMB, PROXY = Thumbnail.name, EditProxy.name

pytestmark = pytest.mark.timeout(600)  # the start of a server, and many waits

RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value } } } }"""
TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"
SENSOR = """query($sensor: SensorSelector!) {
  sensorOrError(sensorSelector: $sensor) { ... on Sensor {
    minIntervalSeconds sensorState { id ticks(statuses: [STARTED]) { id } }
  } }
}"""
STOP_SENSOR = "mutation($id: String!) { stopSensor(id: $id) { __typename } }"
START_SENSOR = "mutation($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) { __typename } }"
RELOAD = """mutation { reloadRepositoryLocation(repositoryLocationName: "mediajobs") { __typename } }"""


@contextmanager
def platform_on(home: Path) -> Iterator[Platform]:
    """The platform on a server's data folder; the server does the work."""
    with MediaJobs.open(_env_file=None, home=home) as media:
        yield Platform(media)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder that the server and the tests share."""
    return tmp_path_factory.mktemp("up") / "home"


@pytest.fixture(scope="module")
def up(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediajobsUp]:
    """The server for most tests of this module: five encodes at once, so that all of them can be hit together."""
    project = tmp_path_factory.mktemp("project")
    config = (PROJECT / "dagster.yaml").read_text()
    config = re.sub(r"(max_concurrent_runs): \d+", r"\1: 6", config)
    config = re.sub(r"(value: heavy\n\s+limit): \d+", r"\1: 5", config)
    (project / "dagster.yaml").write_text(config)
    with running_up(home, cwd=project, MEDIAJOBS_RETRY_BASE_S="0.5", MEDIAJOBS_LEASE_S="15") as server:
        yield server


@pytest.fixture
def shared(home: Path) -> Iterator[Platform]:
    """The platform of that server."""
    with platform_on(home) as platform:
        yield platform


@pytest.fixture(scope="module")
def long_clip(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of 1080p: an encode of it is still under way whenever a test looks."""
    return full_hd(tools, tmp_path_factory.mktemp("long") / "long.mp4", seconds=120)


def full_hd(tools: Tools, path: Path, *, seconds: int) -> Path:
    """A clip of that length in 1080p."""
    source = ["-f", "lavfi", "-i", f"testsrc2=size=1920x1080:rate=30:d={seconds}"]
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run([tools.ffmpeg, "-v", "error", *source, *encode], check=True)
    return path


def job_of(platform: Platform, upload: Upload, job_type: str) -> Job:
    """The newest job of that type on that upload, as it is now."""
    return platform.history.jobs.list(JobFilter(subject_id=upload.id, job_type=job_type), limit=1)[0]


def running(platform: Platform, upload: Upload, job_type: str) -> Attempt | None:
    """The attempt under way, once it has started ffmpeg."""
    attempts = platform.attempts(upload, job_type)
    return attempts[-1] if attempts and attempts[-1].status is AttemptStatus.RUNNING and ffmpegs_of(upload) else None


def ffmpegs_of(upload: Upload) -> list[psutil.Process]:
    """The ffmpeg processes that read this upload."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"].startswith("ffmpeg") and upload.id in str(
                (Path(process.cwd()) / "source").resolve()
            ):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def test_the_demo_leaves_the_work_to_it(up: MediajobsUp, home: Path) -> None:
    """It waits for the whole trace, shows all of it, and is content."""
    demo = subprocess.run(
        [sys.executable, "-m", "mediajobs_dagster", "demo", "--json"],
        cwd=PROJECT,
        env={**os.environ, "MEDIAJOBS_HOME": str(home)},
        stdout=subprocess.PIPE,
        check=True,
    )
    made = json.loads(demo.stdout)["jobs"]
    assert len(made) == 9
    assert {each["status"] for each in made} == {"completed"}
    trace = json.loads(demo.stdout)["traceId"]
    with platform_on(home) as platform:
        attempts = list(platform.history.attempts.iterate(AttemptFilter(trace_id=trace)))
    assert len(attempts) == 9


def test_the_sensors_that_dispatch_are_only_a_safety_net(up: MediajobsUp) -> None:
    """The daemon looks itself, so they are evaluated seldom; `dagster dev` has nothing else."""
    assert up.ask(SENSOR, sensor=selector(f"dispatch_{THUMB}"))["sensorOrError"]["minIntervalSeconds"] == SAFETY_NET_S


def test_what_is_added_runs_at_once_as_a_run_of_its_trace(up: MediajobsUp, shared: Platform, clips: Clips) -> None:
    """The run is Dagster's: with the trace, the day and the dispatch as tags, and forked off the warm server."""
    with without_sensor(up, f"dispatch_{THUMB}"):
        upload = shared.add(clips.landscape(), THUMB, force=True)
        job = up.wait_for(lambda: done(shared, upload, THUMB), timeout_s=90)
    (attempt,) = shared.attempts(upload, THUMB)
    run = up.wait_for(lambda: finished_run(up, attempt), timeout_s=90)
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert (job.status, run["status"]) == (JobStatus.COMPLETED, "SUCCESS")
    assert tags["traceId"] == job.trace_id
    assert tags["dagster/partition"] == upload.created_at.date().isoformat()
    assert tags["dagster/partition_set"] == f"{THUMB}_partition_set"
    assert tags["mediajobs/subject"] == upload.id
    assert tags["dagster/sensor_name"] == f"dispatch_{THUMB}"  # in its name, although the daemon saw the job itself
    assert any("forkserver" in " ".join(command_line(each)) for each in up.part("code-server").children())


def test_second_up_on_the_folder_is_refused(up: MediajobsUp, home: Path) -> None:
    """Exit code 2, and a sentence that says who has the folder."""
    code, said = try_up(home, free_port())
    assert code == 2
    assert "ALREADY_RUNNING" in said
    assert str(up.pid) in said
    assert up.url in said


def test_taken_port_is_refused_with_its_holder(tmp_path: Path) -> None:
    """The process that listens there is named."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        code, said = try_up(tmp_path / "home", holder.getsockname()[1])
    assert code == 2
    assert "PORT_TAKEN" in said
    assert f"process {psutil.Process().pid}" in said


def test_terminating_a_run_stops_its_work(up: MediajobsUp, shared: Platform, long_clip: Path) -> None:
    """Terminated from the UI in mid-ffmpeg: ffmpeg dies, attempt and job are cancelled, the run is CANCELED."""
    upload = shared.add(long_clip, PROXY, force=True)
    attempt = up.wait_for(lambda: running(shared, upload, PROXY), timeout_s=120)
    answer = up.ask(TERMINATE, id=attempt.run_id)
    assert answer["terminateRun"]["__typename"] == "TerminateRunSuccess"
    job = up.wait_for(lambda: done(shared, upload, PROXY), timeout_s=90)
    run = up.wait_for(lambda: finished_run(up, attempt), timeout_s=90)
    assert (job.status, run["status"]) == (JobStatus.CANCELLED, "CANCELED")
    assert [each.status for each in shared.attempts(upload, PROXY)] == [AttemptStatus.CANCELLED]
    assert ffmpegs_of(upload) == []


def test_killed_run_process_is_recorded_as_lost_and_its_job_done_again(
    up: MediajobsUp, shared: Platform, clips: Clips
) -> None:
    """kill -9 in mid-encode: within a minute the attempt is lost, and a further one completes the job."""
    upload = shared.add(clips.detailed(), PROXY, force=True)
    attempt = up.wait_for(lambda: held(shared, upload, PROXY), timeout_s=120)
    for process in up.run_processes():
        with suppress(psutil.NoSuchProcess):  # another run's, which has just ended
            process.kill()
    up.wait_for(lambda: shared.attempts(upload, PROXY)[0].status is AttemptStatus.LOST, timeout_s=120)
    job = up.wait_for(lambda: done(shared, upload, PROXY), timeout_s=180)
    assert job.status is JobStatus.COMPLETED
    assert [each.status for each in shared.attempts(upload, PROXY)] == [AttemptStatus.LOST, AttemptStatus.SUCCESS]
    assert finished_run(up, attempt)["status"] == "FAILURE"


def test_killed_daemon_starts_again_and_loses_nothing(up: MediajobsUp, shared: Platform, clips: Clips) -> None:
    """What is added while it is dead is done when it is back."""
    killed = up.part("daemon")
    killed.kill()
    upload = shared.add(clips.landscape(), THUMB, force=True)
    job = up.wait_for(lambda: done(shared, upload, THUMB), timeout_s=120)
    assert job.status is JobStatus.COMPLETED
    assert up.part("daemon").pid != killed.pid
    assert "ended (killed by SIGKILL); it starts again" in up.said()


def test_killed_code_server_has_its_runs_recorded_and_tried_again(
    up: MediajobsUp, shared: Platform, long_clip: Path, tmp_path: Path
) -> None:
    """kill -9 during five runs: each has an attempt that says it was broken off, and a further one."""
    uploads = [shared.add(path, PROXY, force=True) for path in copies(long_clip, 5, tmp_path)]
    up.wait_for(lambda: all(running(shared, upload, PROXY) for upload in uploads), timeout_s=120)
    up.part("code-server").kill()
    up.wait_for(lambda: all(len(shared.attempts(upload, PROXY)) >= 2 for upload in uploads), timeout_s=180)
    for upload in uploads:
        first, second, *_ = [each.status for each in shared.attempts(upload, PROXY)]
        assert first in (AttemptStatus.CANCELLED, AttemptStatus.LOST)
        assert second in (AttemptStatus.RUNNING, AttemptStatus.SUCCESS)
        with suppress(IllegalTransitionError):  # it is done already
            shared.history.jobs.cancel(job_of(shared, upload, PROXY).id)
    up.wait_for(lambda: not any(ffmpegs_of(upload) for upload in uploads), timeout_s=120)
    ends = {job_of(shared, upload, PROXY).status for upload in uploads}
    assert ends <= {JobStatus.CANCELLED, JobStatus.COMPLETED}


def test_reload_button_starts_the_code_anew(up: MediajobsUp, shared: Platform, clips: Clips) -> None:
    """The server says what the button does; afterwards runs start as before."""
    before = up.part("code-server").pid
    up.ask(RELOAD)
    up.wait_for(lambda: is_another(up, "code-server", before), timeout_s=120)
    assert "the code server restarts with the current code" in up.said()
    upload = shared.add(clips.landscape(), THUMB, force=True)
    assert up.wait_for(lambda: done(shared, upload, THUMB), timeout_s=120).status is JobStatus.COMPLETED


def test_stopping_hands_running_jobs_back_and_leaves_no_process(tmp_path: Path, long_clip: Path) -> None:
    """SIGTERM in mid-encode: exit 0, the attempt is on record as cancelled, and its job waits for the next start."""
    with ExitStack() as stack:
        up = stack.enter_context(running_up(tmp_path / "home", "--reload"))
        platform = stack.enter_context(platform_on(tmp_path / "home"))
        family = psutil.Process(up.pid).children(recursive=True)
        code_server = up.part("code-server").pid
        Path(mediajobs_dagster.__file__).touch()
        up.wait_for(lambda: is_another(up, "code-server", code_server), timeout_s=120)
        upload = platform.add(long_clip, PROXY)
        up.wait_for(lambda: running(platform, upload, PROXY), timeout_s=120)
        family += psutil.Process(up.pid).children(recursive=True)
        assert up.stop(signal.SIGTERM) == 0
        assert job_of(platform, upload, PROXY).status is JobStatus.QUEUED
        assert [each.status for each in platform.attempts(upload, PROXY)] == [AttemptStatus.CANCELLED]
        assert platform.leftovers() == []
        assert ffmpegs_of(upload) == []
        up.wait_for(lambda: all(is_gone(each) for each in family), timeout_s=30)
        assert platform.history.attempts.list(AttemptFilter(statuses=(AttemptStatus.RUNNING,))) == []


def held(platform: Platform, upload: Upload, job_type: str) -> Attempt | None:
    """The attempt under way, with its ffmpeg suspended: surely at work still, however fast the machine."""
    attempt = running(platform, upload, job_type)
    for process in ffmpegs_of(upload):
        with suppress(psutil.NoSuchProcess):  # too late
            process.suspend()
    return attempt if ffmpegs_of(upload) else None


def selector(sensor: str) -> dict[str, str]:
    return {"sensorName": sensor, "repositoryName": "__repository__", "repositoryLocationName": "mediajobs"}


@contextmanager
def without_sensor(up: MediajobsUp, name: str) -> Iterator[None]:
    """Have that sensor off, and no tick of it under way."""
    sensor = selector(name)

    def state() -> dict[str, Any]:
        return up.ask(SENSOR, sensor=sensor)["sensorOrError"]["sensorState"]

    assert up.ask(STOP_SENSOR, id=state()["id"])["stopSensor"]["__typename"] == "StopSensorMutationResult"
    try:
        up.wait_for(lambda: not state()["ticks"], timeout_s=60)
        yield
    finally:
        assert up.ask(START_SENSOR, sensor=sensor)["startSensor"]["__typename"] == "Sensor"


def done(platform: Platform, upload: Upload, job_type: str) -> Job | None:
    """The job, once it is over."""
    job = job_of(platform, upload, job_type)
    return job if job.status.is_final else None


def finished_run(up: MediajobsUp, attempt: Attempt) -> dict[str, object]:
    """The run of an attempt, once it is over."""
    run = up.ask(RUN, id=attempt.run_id)["runOrError"]
    return run if run["status"] in ("SUCCESS", "FAILURE", "CANCELED") else {}


def is_another(up: MediajobsUp, command: str, pid: int) -> bool:
    """Whether a part has a new process."""
    try:
        return up.part(command).pid != pid
    except AssertionError:  # between the two
        return False


def copies(clip: Path, count: int, folder: Path) -> list[Path]:
    """The clip as so many files; each is an upload of its own."""
    return [Path(shutil.copy(clip, folder / f"copy-{number}.mp4")) for number in range(count)]


def try_up(home: Path, port: int) -> tuple[int, str]:
    """Run `mediajobs up` to its end: exit code and what it said."""
    command = [sys.executable, "-m", "mediajobs_dagster", "up", "--port", str(port)]
    env = {"MEDIAJOBS_HOME": str(home), "PATH": "/usr/bin:/bin", "HOME": str(home)}
    ended = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=150, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_a_database_that_goes_and_returns_is_two_lines(tmp_path: Path, clips: Clips) -> None:
    """Not a traceback a second from every loop; and what is asked for afterwards is made, in a line of its own."""
    with running_postgres() as server:
        settings = {"database_url": server.get_uri(), "database_timeout_s": "3"}
        environment = {f"MEDIAJOBS_{name.upper()}": value for name, value in settings.items()}
        with running_up(tmp_path / "home", **environment) as up:
            server.stop()
            up.wait_for(lambda: "The database does not answer" in up.said(), timeout_s=60)
            time.sleep(5)  # every loop has met it several times
            start_postgres(server)
            up.wait_for(lambda: "The database answers again" in up.said(), timeout_s=60)
            with MediaJobs.open(_env_file=None, home=tmp_path / "home", database_url=server.get_uri()) as media:
                media.add(clips.landscape(), types=[THUMB])
            up.wait_for(lambda: f"landscape.mp4: {THUMB} done in " in up.said(), timeout_s=60)
        said = up.said()
    assert said.count("The database does not answer") == said.count("The database answers again") == 1
    assert "Traceback" not in said
    assert len(said.splitlines()) < 20
