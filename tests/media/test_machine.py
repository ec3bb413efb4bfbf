"""What the machine grants, what it is, and which ffmpeg it has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest

from mediajobs_dagster.errors import FfmpegMissingError
from mediajobs_dagster.media.budget import Budget, OomWatch, granted_budget
from mediajobs_dagster.media.demo_clip import make_demo_clip
from mediajobs_dagster.media.host import host_facts
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.media.tools import Answers, Tools, find_tools
from tests.media.conftest import Records

GIB = 2**30


def write(root: Path, files: dict[str, str]) -> Path:
    """A tree of files like the kernel's, below `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


# --- budget ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        pytest.param(
            {
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/cpu.max": "50000 100000\n",
                "sys/fs/cgroup/memory.max": f"{GIB // 8}\n",
            },
            0.5,
            GIB // 8,
            id="v2 in a container",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "25000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
                "sys/fs/cgroup/a/memory.max": "max\n",
                "sys/fs/cgroup/a/b/memory.max": f"{GIB // 4}\n",
            },
            0.25,
            GIB // 4,
            id="v2, limits on different levels",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/docker/1\n2:cpu,cpuacct:/docker/1\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "75000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB // 2}\n",
            },
            0.75,
            GIB // 2,
            id="v1, mounted at the container's own group",
        ),
    ],
)
def test_a_cgroup_limits_the_budget(files: dict[str, str], cores: float, memory: int, tmp_path: Path) -> None:
    """The tightest limit on the way up counts, in both versions of cgroup."""
    assert granted_budget(write(tmp_path, files)) == Budget(cores, memory)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n", "sys/fs/cgroup/memory.max": "max\n"},
        {
            "proc/self/cgroup": "4:memory:/\n2:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    ],
)
def test_without_limits_the_machine_is_the_budget(files: dict[str, str], tmp_path: Path) -> None:
    """No cgroup, or one that limits nothing: all cores we may run on, all memory."""
    budget = granted_budget(write(tmp_path, files))
    assert budget.cores == (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    assert budget.memory_bytes == psutil.virtual_memory().total


def test_threads_are_shared() -> None:
    """Commands side by side share the cores; each has at least one thread, and a configured number wins."""
    budget = Budget(cores=6, memory_bytes=GIB)
    assert [budget.threads(concurrency=count) for count in (1, 2, 4, 100)] == [6, 3, 2, 1]
    assert Budget(cores=0.5, memory_bytes=GIB).threads() == 1
    assert budget.threads(configured=3, concurrency=6) == 3


def test_light_commands_share_the_machine() -> None:
    """One more than there are cores for, so that none is idle; never more than there is memory for, and always one."""
    budget = Budget(cores=6, memory_bytes=64 * GIB)
    assert [budget.side_by_side(threads) for threads in (0, 1, 2, 4, 6)] == [1, 7, 4, 3, 2]
    assert Budget(cores=0.5, memory_bytes=GIB).side_by_side(1) == 2
    assert Budget(cores=64, memory_bytes=2 * GIB).side_by_side(1) == 4
    assert Budget(cores=64, memory_bytes=GIB // 4).side_by_side(1) == 1


def test_kills_for_memory_are_counted(tmp_path: Path) -> None:
    """Both versions of cgroup tell; where none tells there are none."""
    assert OomWatch.of_process(tmp_path).kills() == 0
    group = {"proc/self/cgroup": "0::/a\n"}
    v2 = write(tmp_path / "2", group | {"sys/fs/cgroup/a/memory.events": "low 0\noom 5\noom_kill 3\n"})
    assert OomWatch.of_process(v2).kills() == 3
    group = {"proc/self/cgroup": "4:memory:/a\n"}
    v1 = write(tmp_path / "1", group | {"sys/fs/cgroup/memory/a/memory.oom_control": "under_oom 0\noom_kill 2\n"})
    assert OomWatch.of_process(v1).kills() == 2


# --- host ------------------------------------------------------------------------------------------------------------

DMI = "sys/class/dmi/id"


def test_the_firmware_of_ec2_tells_the_instance_type(tmp_path: Path) -> None:
    """EC2's firmware is believed; another maker's product name is not an instance type; a setting wins over both."""
    ec2 = write(tmp_path / "a", {f"{DMI}/sys_vendor": "Amazon EC2\n", f"{DMI}/product_name": "c7i.large\n"})
    other = write(tmp_path / "b", {f"{DMI}/sys_vendor": "LENOVO\n", f"{DMI}/product_name": "20XW\n"})
    assert host_facts(None, False, root=ec2).instance_type == "c7i.large"
    assert host_facts(None, False, root=other).instance_type is None
    assert host_facts("mine", False, root=ec2).instance_type == "mine"


def test_facts_follow_the_budget(tmp_path: Path) -> None:
    """Cores and memory are those granted."""
    limits = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000"}
    facts = host_facts(None, False, root=write(tmp_path, limits))
    assert facts.cpu_cores == 0.5
    assert facts.mem_gb == pytest.approx(psutil.virtual_memory().total / GIB, abs=0.01)
    assert facts.hostname


def test_the_metadata_service_is_asked_with_a_token_and_only_if_switched_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IMDSv2: a token first, the type with it; a machine that must not ask does not."""
    monkeypatch.setattr("mediajobs_dagster.media.host._IMDS_TIMEOUT_S", 30.0)
    with imds(instance_type="m7g.xlarge") as (base, asked):
        assert host_facts(None, False, imds_url=base, root=tmp_path).instance_type is None
        assert asked == []
        assert host_facts(None, True, imds_url=base, root=tmp_path).instance_type == "m7g.xlarge"
        assert asked == ["PUT /latest/api/token", "GET /latest/meta-data/instance-type"]


def test_a_metadata_service_that_refuses_is_no_fault(tmp_path: Path) -> None:
    """No service, or one that refuses: the type is not known."""
    with imds(instance_type=None) as (base, _):
        assert host_facts(None, True, imds_url=base, root=tmp_path).instance_type is None
    assert host_facts(None, True, imds_url=base, root=tmp_path).instance_type is None


@contextmanager
def imds(instance_type: str | None) -> Iterator[tuple[str, list[str]]]:
    """A metadata service on loopback, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            asked.append(f"PUT {self.path}")
            self._answer("a token" if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else None)

        def do_GET(self) -> None:
            asked.append(f"GET {self.path}")
            self._answer(instance_type if self.headers["X-aws-ec2-metadata-token"] == "a token" else None)

        def _answer(self, text: str | None) -> None:
            self.send_response(200 if text else 401)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, format: str, *args: object) -> None:
            """Silence."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- tools -----------------------------------------------------------------------------------------------------------


def test_the_programs_tell_what_they_can_do(tools: Tools) -> None:
    """What the job types rely on is asked of the ffmpeg that is there."""
    assert {"libx264", "aac", "mjpeg"} <= tools.encoders
    assert {"scale", "overlay", "aresample"} <= tools.filters
    assert "=" not in tools.encoders | tools.filters
    assert tools.version[0].isdigit() or tools.version[1].isdigit()


def test_a_configured_program_wins(tools: Tools, tmp_path: Path) -> None:
    """The setting is taken before anything that could be found."""
    link = tmp_path / "my-ffmpeg"
    link.symlink_to(tools.ffmpeg)
    assert find_tools(ffmpeg_path=link).ffmpeg == link


def test_path_is_looked_at_before_the_wheel(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed ffmpeg is preferred to the bundled one."""
    (tmp_path / "ffmpeg").symlink_to(tools.ffmpeg)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_tools()
    assert found.ffmpeg == tmp_path / "ffmpeg"
    assert found.ffprobe.parent != tmp_path


def test_a_program_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    """The message says which setting to correct."""
    with pytest.raises(FfmpegMissingError, match="MEDIAJOBS_FFPROBE_PATH"):
        find_tools(ffprobe_path=tmp_path / "gone")


def test_a_program_that_does_not_run_is_named(tmp_path: Path) -> None:
    """A file that is no program for this machine is found out at once, not in the middle of a job."""
    broken = tmp_path / "ffmpeg"
    broken.write_bytes(b"\x7fELF broken")
    broken.chmod(0o755)
    with pytest.raises(FfmpegMissingError, match="does not run"):
        find_tools(ffmpeg_path=broken)


def test_a_program_that_is_no_ffmpeg_is_named(tmp_path: Path) -> None:
    """In words, not with the list of arguments that it was asked by."""
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\nexit 3\n")
    other.chmod(0o755)
    with pytest.raises(FfmpegMissingError, match="asked what it can do, it ended with code 3") as raised:
        find_tools(ffmpeg_path=other)
    assert "[" not in raised.value.message


def test_an_encoder_whose_driver_hangs_does_not_work(tools: Tools, tmp_path: Path) -> None:
    """Whoever asks is told so after a while, rather than with an error."""
    hanging = tmp_path / "ffmpeg"
    hanging.write_text(f'#!/bin/sh\ncase "$*" in *-encoders*) exec {tools.ffmpeg} "$@";; esac\nexec sleep 60\n')
    hanging.chmod(0o755)
    asked = replace(tools, ffmpeg=hanging, answers=Answers(patience_s=2))
    assert not asked.can_encode("libx264")
    assert replace(asked, ffmpeg=tools.ffmpeg, answers=Answers()).can_encode("libx264")


def test_the_demo_clip_has_picture_and_sound(runner: Runner, records: Records, tmp_path: Path) -> None:
    """A second of it is what its description says."""
    make_demo_clip(runner, tmp_path / "demo.mp4", seconds=1, report=records)
    info = probe(runner, str(tmp_path / "demo.mp4"))
    assert info.duration_seconds == pytest.approx(1, abs=0.1)
    assert info.main_video
    assert info.main_audio
    assert (info.main_video.width, info.main_video.height, info.main_video.fps) == (1280, 720, 30)
    assert (info.main_audio.channels, info.main_audio.sample_rate) == (2, 48_000)
    assert records.only.status == "ok"
