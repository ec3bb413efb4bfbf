"""One cluster for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster, running_cluster
from tests.servers.postgres import running_postgres
from tests.servers.redis import running_redis
from tests.servers.s3 import S3Server


@pytest.fixture(scope="session")
def shared_cluster(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """PostgreSQL and Redis of its own, because tests stop them; no worker yet."""
    folder = tmp_path_factory.mktemp("cluster")
    with (
        running_postgres() as postgres,
        running_redis(folder / "redis") as redis,
        running_cluster(folder, postgres, redis, s3_server) as cluster,
    ):
        yield cluster


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster; workers that the test starts, and jobs that it leaves undone, end with it."""
    yield shared_cluster
    shared_cluster.clear()
