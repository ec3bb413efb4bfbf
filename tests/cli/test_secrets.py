"""Whatever is given to a command with a secret in it, the secret is not printed: as text, as JSON, or in an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.cli import display
from tests.cli.conftest import Call

SIGNED = "https://me:hunter2@host/clip.mp4?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE&X-Amz-Signature=hunter3"


def is_safe(text: str) -> bool:
    """Whether neither a secret nor a traceback is in a text."""
    return "hunter" not in text and "AKIA" not in text and "Traceback" not in text


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"database_url": "postgresql://me@127.0.0.1:1/x?password=hunter2"}, 1, "DATABASE_UNAVAILABLE"),
        ({"database_url": "postgresql://me:hunter2@127.0.0.1:1/x"}, 1, "DATABASE_UNAVAILABLE"),
        ({"database_url": "postgresql://me:hunter2@127.0.0.1:port/x"}, 2, "SETTINGS_INVALID"),
        ({"database_url": "postgresql://me:hunter2@127.0.0.1:99999999/x"}, 1, "DATABASE_UNAVAILABLE"),
        ({"database_url": "postgresql://me:hunter2@127.0.0.1:hunter3/x?password=hunter4"}, 2, "SETTINGS_INVALID"),
        ({"database_url": "mysql://me:hunter2@host/x"}, 2, "SETTINGS_INVALID"),
        ({"database_url": "hunter2"}, 2, "SETTINGS_INVALID"),
        ({"storage_url": "s3://key:hunter2@bucket"}, 2, "MEDIAJOBS_S3_SECRET_ACCESS_KEY"),
        ({"storage_url": "s3://key:hun/hunter2@bucket/prefix"}, 2, "MEDIAJOBS_STORAGE_URL"),
        ({"storage_url": "s3://[key:hunter2@bucket"}, 2, "MEDIAJOBS_STORAGE_URL"),
        ({"storage_url": "https://me:hunter2@host/?token=hunter3"}, 2, "MEDIAJOBS_STORAGE_URL"),
        (
            {"storage_url": "s3://bucket", "s3_endpoint_url": "http://me:hunter2@host:port"},
            2,
            "MEDIAJOBS_S3_ENDPOINT_URL",
        ),
        ({"lease_s": "nan"}, 2, "MEDIAJOBS_LEASE_S"),
        ({"webhook_secret": "hunter2"}, 2, "MEDIAJOBS_WEBHOOK_SECRET is not right: it has to be whsec_"),
        ({"lease_s": "1e300"}, 2, "MEDIAJOBS_LEASE_S"),
    ],
)
def test_settings(mediajobs: Call, tmp_path: Path, settings: dict[str, str], code: int, said: str) -> None:
    """In an error, and in what `doctor` finds."""
    (tmp_path / "clip.mp4").write_bytes(b"x")
    answer = mediajobs("add", tmp_path / "clip.mp4", **settings)
    assert (answer.code, said in answer.err) == (code, True), answer.err
    assert is_safe(answer.err)
    for options in ((), ("--json",)):
        answer = mediajobs("doctor", *options, **settings)
        assert answer.code in (1, 2)
        assert is_safe(answer.out + answer.err), answer


@pytest.mark.parametrize(
    "words",
    [
        ("add", SIGNED),
        ("add", SIGNED, "--json"),
        ("add", "s3://key:hunter2@bucket/clip.mp4"),
        ("add", "s3://key:hun/hunter2@bucket/"),
        ("add", "clip.mp4", "--type", SIGNED),
        ("export", SIGNED),
        ("export", "edit.json"),
        ("export", "edit.json", "--json"),
        ("export", "edit.json", "--rate", SIGNED),
        ("export", "edit.json", f"--{SIGNED}"),
        ("jobs", "show", SIGNED),
        ("jobs", "list", "--since", SIGNED),
        ("jobs", "list", "--after", SIGNED),
        ("jobs", SIGNED),
        ("attempt", SIGNED, "--json"),
        ("history", "stats", "--until", SIGNED),
        ("demo", SIGNED),
        (SIGNED,),
    ],
)
def test_arguments(mediajobs: Call, tmp_path: Path, words: tuple[str, ...]) -> None:
    """A signed address, or one with a password, wherever it may be given."""
    (tmp_path / "clip.mp4").write_bytes(b"x")
    document = {"version": "create_video_v1", "track": [{"kind": "clip", "source": SIGNED}]}
    (tmp_path / "edit.json").write_text(json.dumps(document))
    answer = mediajobs(*words)
    assert answer.code == 2
    assert answer.out + answer.err
    assert is_safe(answer.out + answer.err), answer
    if "--json" in words and answer.out:
        assert "&lt;" not in json.dumps(answer.json)


def test_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is taken out of it: a line of headers, a secret's own field, a quotation mark."""
    data: dict[str, Any] = {
        "note": 'Authorization: Basic "abc"\nHost: h',
        "password": "hunter2",
        "address": SIGNED,
        "list": [SIGNED, ("api_key=hunter2", 3, None, 1.5, True)],
        "secretAccessKey": 'hun"ter2',
    }
    display.print_json(data)
    printed = capsys.readouterr().out
    assert is_safe(printed)
    assert json.loads(printed) == {
        "note": "Authorization: <redacted>\nHost: h",
        "password": "<redacted>",
        "address": "https://<redacted>@host/clip.mp4?<redacted>",
        "list": ["https://<redacted>@host/clip.mp4?<redacted>", ["api_key=<redacted>", 3, None, 1.5, True]],
        "secretAccessKey": "<redacted>",
    }


def test_tables_and_lines_hold_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    """Even where a cell is folded in the middle of an address."""
    console = display.console()
    console.print(f"read {SIGNED}")
    console.print(display.cell(SIGNED))
    console.print(display.table(("Address", SIGNED), [("x" * 180 + SIGNED, {"password": "hunter2"})], title=SIGNED))
    printed = capsys.readouterr().out.replace("\n", "").replace(" ", "")
    assert is_safe(printed)
    assert printed.count("redacted") >= 6
