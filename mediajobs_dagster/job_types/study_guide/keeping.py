"""Keeps what was costly for further attempts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.models import JsonObject


def kept(bench: Bench, basis: JsonObject, make: Callable[[], JsonObject]) -> JsonObject:
    """What `make` returns, or what it returned for the same basis in an earlier attempt at a job on the same talk.

    So nothing is paid for twice. `basis` has to hold all that the result depends on.
    """
    fingerprint = hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()[:32]
    found = bench.checkpoints.load(fingerprint)
    if found is None:
        found = make()
        bench.checkpoints.save(fingerprint, found)
    return found
