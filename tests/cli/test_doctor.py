"""`mediajobs doctor`: what is fine, what is not, and how to mend it."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from queue import Queue

import pytest

from mediajobs_dagster.attempts import checkup
from mediajobs_dagster.cli.running import file_mark, watching_database
from mediajobs_dagster.models import utc_now
from mediajobs_dagster.orchestration.internals import warm_runs
from mediajobs_dagster.supervisor.exclusive import sole_user_of
from tests.cli.conftest import Answer, Call
from tests.clips import Clips
from tests.servers.s3 import S3Server

CHECKS = [
    "versions",
    "settings",
    "start of runs",
    "scheduled jobs",
    "machine",
    "ffmpeg",
    "home",
    "database",
    "clock",
    "storage",
    "scratch disk",
    "queue",
]


def findings(answer: Answer) -> dict[str, tuple[bool, str]]:
    """Whether it is fine, and what was found, by check."""
    return {each["check"]: (each["fine"], each["detail"]) for each in answer.json}


def test_everything_is_fine(mediajobs: Call) -> None:
    """Exit code 0, and each line says what was found."""
    answer = mediajobs("doctor", "--json")
    assert answer.code == 0
    found = findings(answer)
    assert list(found) == CHECKS
    assert all(fine for fine, _ in found.values())
    assert "SQLite" in found["database"][1]
    shown = mediajobs("doctor")
    assert shown.code == 0
    assert all(check in shown.out for check in CHECKS)
    assert "failed" not in shown.out


def test_nothing_is_left_behind(mediajobs: Call, tmp_path: Path) -> None:
    """Neither its probe in the storage nor a folder in scratch."""
    mediajobs("doctor")
    home = tmp_path / "home"
    assert list((home / "scratch").iterdir()) == []
    assert [path for path in (home / "objects").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("check", "settings", "code", "mend"),
    [
        ("ffmpeg", {"ffmpeg_path": "/nowhere/ffmpeg"}, "FFMPEG_MISSING", "MEDIAJOBS_FFMPEG_PATH"),
        ("ffmpeg", {"ffprobe_path": "/nowhere/ffprobe"}, "FFMPEG_MISSING", "MEDIAJOBS_FFPROBE_PATH"),
        ("database", {"database_url": "postgresql://me:pw@127.0.0.1:1/x"}, "DATABASE_UNAVAILABLE", "the server runs"),
        ("database", {"database_url": "sqlite:///{file}/jobs.db"}, "DATABASE_UNAVAILABLE", "MEDIAJOBS_DATABASE_URL"),
        ("database", {"database_url": "mysql://db/x"}, "SETTINGS_INVALID", "MEDIAJOBS_DATABASE_URL"),
        ("storage", {"storage_url": "file://{file}/objects"}, "STORAGE_FAILED", "MEDIAJOBS_STORAGE_URL"),
        ("storage", {"storage_url": "ftp://host/x"}, "SETTINGS_INVALID", "MEDIAJOBS_STORAGE_URL"),
        ("job log", {"job_log": "{file}/log.json"}, "SETTINGS_INVALID", "MEDIAJOBS_JOB_LOG"),
        ("job log", {"job_log": "{file}.md"}, "JOB_LOG_FOREIGN", "Name another file"),
        ("scratch disk", {"scratch_dir": "{file}/scratch"}, "SETTINGS_INVALID", "MEDIAJOBS_SCRATCH_DIR"),
        ("scratch disk", {"scratch_reserve_mb": 2**40}, "DISK_FULL", "MEDIAJOBS_SCRATCH_DIR"),
    ],
)
def test_one_thing_is_not(
    mediajobs: Call, tmp_path: Path, check: str, settings: dict[str, object], code: str, mend: str
) -> None:
    """Exit code 1; this check alone has failed, with its code and how to mend it."""
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "file.md").write_text("# Notes")
    placed = {name: str(value).replace("{file}", str(file)) for name, value in settings.items()}
    answer = mediajobs("doctor", "--json", **placed)
    assert answer.code == 1
    failed = {what: detail for what, (fine, detail) in findings(answer).items() if not fine}
    assert failed.keys() == {check}
    assert failed[check].startswith(f"{code}: ")
    assert mend in failed[check]
    assert mediajobs("doctor", **placed).code == 1


def test_what_a_broken_ffmpeg_says_is_told(mediajobs: Call, tmp_path: Path) -> None:
    """Its last line is the cause, such as a library that an upgrade took away; and what to set is said."""
    broken = tmp_path / "ffmpeg"
    broken.write_text(
        "#!/bin/sh\necho first >&2\necho 'libx264.so.164: cannot open shared object file' >&2\nexit 127\n"
    )
    broken.chmod(0o755)
    fine, detail = findings(mediajobs("doctor", "--json", ffmpeg_path=broken))["ffmpeg"]
    assert not fine
    assert "it ended with code 127, and said: libx264.so.164: cannot open shared object file. " in detail
    assert "MEDIAJOBS_FFMPEG_PATH" in detail


def test_up_is_not_blamed_for_the_database(mediajobs: Call, tmp_path: Path) -> None:
    """Whether it works with a database that does not answer is not known: only the database has failed."""
    (tmp_path / "file").touch()
    settings = {"database_url": f"sqlite:///{tmp_path}/file/jobs.db"}
    with sole_user_of(tmp_path / "home", "process 1"):
        answer, shown = mediajobs("doctor", "--json", **settings), mediajobs("doctor", **settings).out
    not_known = [each for each in answer.json if "not known without the database" in each["detail"]]
    assert [(each["check"], each["fine"], each["warning"]) for each in not_known] == [
        ("mediajobs up", True, True),
        ("queue", True, False),
    ]
    assert [each["check"] for each in answer.json if not each["fine"]] == ["database"]
    assert answer.code == 1
    assert shown.count("warning ") == 1


def test_another_dagster(mediajobs: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that lacks a module that runs need loaded: which one, what follows, and how to mend it."""
    monkeypatch.setattr(warm_runs, "RUN_MODULES", (*warm_runs.RUN_MODULES, "dagster._core.gone"))
    answer = mediajobs("doctor", "--json")
    failed = {what: detail for what, (fine, detail) in findings(answer).items() if not fine}
    assert (answer.code, failed.keys()) == (1, {"start of runs"})
    assert failed["start of runs"].startswith(f"DAGSTER_VERSION: Dagster {version('dagster')} ")
    assert ": dagster._core.gone cannot be loaded before a run, so runs start slowly." in failed["start of runs"]


@pytest.mark.parametrize(("ahead_s", "where"), [(61.0, "ahead of"), (-61.0, "behind")])
def test_a_wrong_clock_is_a_warning(
    mediajobs: Call, postgres_url: str, monkeypatch: pytest.MonkeyPatch, ahead_s: float, where: str
) -> None:
    """Leases go by the database's clock, so nothing fails; records are wrong, so the clock should be set."""
    settings = {"database_url": postgres_url}
    answer = mediajobs("doctor", "--json", **settings)
    assert findings(answer)["clock"][1].startswith("within ")
    monkeypatch.setattr(checkup, "utc_now", lambda: utc_now() + timedelta(seconds=ahead_s))
    answer = mediajobs("doctor", "--json", **settings)
    (clock,) = (each for each in answer.json if each["check"] == "clock")
    assert (answer.code, clock["fine"], clock["warning"]) == (0, True, True)
    assert f"s {where} the database's" in clock["detail"]
    assert "warning" in mediajobs("doctor", **settings).out


def test_a_home_that_cannot_be_is_one_finding(mediajobs: Call, tmp_path: Path) -> None:
    """Database, storage and scratch folder, which lie in it, are not listed as well."""
    (tmp_path / "file").touch()
    failed = {
        what for what, (fine, _) in findings(mediajobs("doctor", "--json", home=tmp_path / "file")).items() if not fine
    }
    assert failed == {"home"}


def test_a_storage_that_is_gone_is_told_from_one_that_is_new(mediajobs: Call, clips: Clips, tmp_path: Path) -> None:
    """With uploads in it, its disk is not mounted; the check must not make the folder in its place."""
    mediajobs("add", clips.landscape())
    assert findings(mediajobs("doctor", "--json"))["storage"][0]
    objects = tmp_path / "home" / "objects"
    objects.rename(tmp_path / "unmounted")
    fine, detail = findings(mediajobs("doctor", "--json"))["storage"]
    assert not fine
    assert detail.startswith("STORAGE_UNAVAILABLE: ")
    assert "is not there, although uploads are registered in it." in detail
    assert not objects.exists()


def test_a_wrong_secret_on_s3(mediajobs: Call, s3_server: S3Server) -> None:
    """The storage answers, and denies; the secret is not shown."""
    bucket = s3_server.make_bucket()
    settings = {
        "storage_url": f"s3://{bucket}/media",
        "s3_endpoint_url": s3_server.endpoint,
        "s3_path_style": "true",
        "s3_access_key_id": s3_server.access_key,
        "s3_max_attempts": 1,
    }
    assert findings(mediajobs("doctor", "--json", **settings, s3_secret_access_key=s3_server.secret_key))["storage"][0]
    answer = mediajobs("doctor", "--json", **settings, s3_secret_access_key="wrong-secret-wrong-secret")
    fine, detail = findings(answer)["storage"]
    assert (answer.code, fine) == (1, False)
    assert detail.startswith("STORAGE_DENIED: ")
    assert "wrong-secret" not in answer.out


def test_a_database_that_was_replaced_under_a_running_up_is_told(mediajobs: Call, clips: Clips, tmp_path: Path) -> None:
    """By the doctor, by `add`, and by `up` itself; else jobs go into a file that nobody reads."""
    assert mediajobs("jobs", "list").code == 0
    file, said = tmp_path / "home" / "mediajobs.db", Queue[str]()
    with (
        sole_user_of(tmp_path / "home", "process 1", works_with=file_mark(file)),
        watching_database(file, said.put),
    ):
        assert findings(mediajobs("doctor", "--json"))["mediajobs up"][0]
        for path in file.parent.glob("mediajobs.db*"):
            path.rename(path.with_name(f"old-{path.name}"))
        added = mediajobs("add", clips.landscape())
        assert (added.code, "was removed or replaced" in added.err) == (0, True)
        answer = mediajobs("doctor", "--json")
        assert answer.code == 1
        assert not findings(answer)["mediajobs up"][0]
        assert str(file) in said.get(timeout=30)
