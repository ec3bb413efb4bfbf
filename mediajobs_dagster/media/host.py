"""Facts of the machine that an attempt runs on."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from pathlib import Path

from mediajobs_dagster.media.budget import granted_budget
from mediajobs_dagster.models import HostFacts

IMDS_URL = "http://169.254.169.254"
_IMDS_TIMEOUT_S = 0.3
_ROOT = Path("/")


def host_facts(
    instance_type: str | None,
    imds_enabled: bool,
    *,
    hostname: str | None = None,
    imds_url: str = IMDS_URL,
    root: Path = _ROOT,
) -> HostFacts:
    """This machine: the given instance type, else what the firmware says, else what the metadata service says.

    The metadata service (IMDSv2) is asked only if `imds_enabled`: off EC2 nothing answers.
    `hostname` is the name to put on record; without it the machine is asked. `root` is where `/proc` and `/sys` are.
    """
    budget = granted_budget(root)
    return HostFacts(
        instance_type=instance_type or _firmware_type(root) or (_metadata_type(imds_url) if imds_enabled else None),
        cpu_cores=budget.cores,
        mem_gb=round(budget.memory_bytes / 2**30, 2),
        hostname=hostname or socket.gethostname(),
    )


def _firmware_type(root: Path) -> str | None:
    # EC2's Nitro machines carry their type here; other makers' machines have a model name, which is no instance type.
    folder = root / "sys/class/dmi/id"
    try:
        if (folder / "sys_vendor").read_text().strip() != "Amazon EC2":
            return None
        return (folder / "product_name").read_text().strip() or None
    except OSError:
        return None


def _metadata_type(base: str) -> str | None:
    ask_token = urllib.request.Request(
        f"{base}/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    try:
        token = _fetch(ask_token)
        return _fetch(
            urllib.request.Request(
                f"{base}/latest/meta-data/instance-type", headers={"X-aws-ec2-metadata-token": token}
            )
        )
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _fetch(request: urllib.request.Request) -> str:
    # No proxy: the address is only reachable from the machine itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_IMDS_TIMEOUT_S) as response:
        return response.read(1024).decode().strip()
