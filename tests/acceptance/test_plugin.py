"""A package of its own brings a job type and a listener; what waits for the network keeps no encode waiting."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import JobStatus, new_trace_id
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.platform import Platform
from tests.seam.plugin.digest import Digest
from tests.seam.plugin.long_download import LongDownload
from tests.seam.service import running_service
from tests.servers.mediajobs_up import running_up

PLUGIN = Path(__file__).parent.parent / "seam" / "plugin"

pytestmark = pytest.mark.timeout(600)  # the start of a server


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The folder that the package is installed in."""
    source = tmp_path / "source"
    source.mkdir()
    for file in ("pyproject.toml", "diary.py", "digest.py", "long_download.py"):
        (source / file).write_bytes((PLUGIN / file).read_bytes())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--no-index", "--target", str(tmp_path / "site"), str(source)], check=True)
    return tmp_path / "site"


def test_a_download_keeps_no_encode_waiting(tmp_path: Path, installed: Path, clips: Clips) -> None:
    """While a download from far away is under way, however long, a proxy is made; then the download ends well."""
    home = tmp_path / "home"
    path = os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH")]))
    registry = Registry.standard().with_types(LongDownload(), Digest())
    settings = Settings.load(_env_file=None, home=home)
    with (
        running_service() as service,
        running_up(home, PYTHONPATH=path, MEDIAJOBS_PRIVATE_ADDRESSES="127.0.0.0/8") as up,
        MediaJobs(settings, registry) as media,
    ):
        platform, history = Platform(media), media.history
        upload = platform.register(clips.landscape())
        wanted = LongDownload().request(upload, trace_id=new_trace_id(), params={"address": f"{service.address}/slow"})
        (download,) = history.jobs.enqueue([wanted])
        up.wait_for(service.began.is_set, timeout_s=120)
        proxied = platform.add(clips.detailed(), EditProxy.name, Digest.name)
        up.wait_for(lambda: platform.job(proxied, EditProxy.name).status is JobStatus.COMPLETED, timeout_s=120)
        up.wait_for(lambda: platform.job(proxied, Digest.name).status is JobStatus.COMPLETED, timeout_s=120)
        digest = hashlib.sha256(clips.detailed().read_bytes()).hexdigest()
        (key,) = platform.current_keys(proxied, Digest.name)
        assert platform.output(key).read_text() == f"{digest}\n"
        assert history.jobs.get(download.job.id).status is JobStatus.PROCESSING
        service.go_on.set()
        up.wait_for(lambda: history.jobs.get(download.job.id).status is JobStatus.COMPLETED, timeout_s=120)
        (key,) = platform.current_keys(upload, LongDownload.name)
        assert platform.output(key).read_bytes() == b"01"
    assert (home / "diary.txt").read_text().split().count("AttemptEnded") == 3
