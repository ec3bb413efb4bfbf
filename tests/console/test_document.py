"""The OpenAPI document: it is true, and what it allows, and more, breaks nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.console.client import Client

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "negative_data_rejection,missing_required_header,allow_header_conformance"
)
"""All but the one that wants no valid request refused: ours also refuse what names nothing."""


def test_it_is_whole(client: Client) -> None:
    """Every route has a description, and says how it refuses, in our form."""
    document = client.get("/openapi.json").json
    assert {"/api/jobs", "/api/uploads", "/api/jobs/status", "/readyz"} <= set(document["paths"])
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), (method, path)
            for status, told in operation["responses"].items():
                if int(status) >= 400 and path != "/readyz":
                    assert list(told["content"]) == ["application/problem+json"], (method, path, status)
    text = client.get("/openapi.json").text
    assert "HTTPValidationError" not in text


@pytest.mark.timeout(240)
def test_what_it_allows_and_more_breaks_nothing(client: Client, media: MediaJobs, clips: Clips, tmp_path: Path) -> None:
    """Schemathesis finds no answer 5xx, and none that the document does not describe."""
    media.add(clips.short(), types=[Thumbnail.name])
    program = Path(sys.executable).with_name("schemathesis")
    options = ["--max-examples", "1", "--phases", "fuzzing", "--checks", CHECKS, "--seed", "1", "--no-color"]
    skipped = ["--exclude-path-regex", "/events$|/doctor$|/readyz$"]  # endless, slow, and 503 without a daemon
    asked = subprocess.run(
        [program, "run", f"{client.url}/openapi.json", *options, *skipped],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert asked.returncode == 0, asked.stdout[-6000:]
