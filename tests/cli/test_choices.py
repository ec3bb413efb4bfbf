"""Wrong input in options, filters and settings: refused with what there is, or warned of."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mediajobs_dagster.job_types.thumbnail import Thumbnail
from tests.cli.conftest import Call
from tests.clips import Clips
from tests.platform import Platform

NO_TRACE = "0" * 31 + "1"


@pytest.mark.parametrize(
    ("arguments", "there_is"),
    [
        (("jobs", "list", "--type", "upload_thum_v1"), "upload_thumb_v1"),
        (("jobs", "list", "--error", "INPUT_NOT_MEDIUM"), "INPUT_NOT_MEDIA"),
        (("jobs", "list", "--trace", NO_TRACE), "TRACE"),
        (("jobs", "list", "--upload", "nope"), "UPLOAD"),
        (("history", "stats", "--type", "upload_thum_v1"), "upload_thumb_v1"),
        (("history", "stats", "--error", "disk_full"), "DISK_FULL"),
        (("history", "stats", "--trace", NO_TRACE), "TRACE"),
        (("history", "stats", "--job", "nope"), "nope"),
        (("history", "export", "--run", "nope"), "RUN"),
        (("history", "export", "--job", "nope"), "nope"),
        (("history", "export", "--format", "csv", "--manifests"), "jsonl"),
    ],
)
def test_a_filter_that_names_nothing_is_refused_with_what_there_is(
    mediajobs: Call, platform: Platform, clips: Clips, arguments: tuple[str, ...], there_is: str
) -> None:
    """Exit code 2; an empty list would look like an answer."""
    (job,) = platform.media.add(clips.landscape(), types=[Thumbnail.name]).jobs
    platform.work()
    stands_for = {"TRACE": job.trace_id, "UPLOAD": job.subject_id, "RUN": "run"}
    answer = mediajobs(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert stands_for.get(there_is, there_is) in answer.err


@pytest.mark.parametrize("option", ["--trace", "--type", "--error", "--upload"])
def test_an_empty_filter_is_refused(mediajobs: Call, platform: Platform, clips: Clips, option: str) -> None:
    """A script whose variable is empty would otherwise be shown everything."""
    platform.media.add(clips.landscape(), types=[Thumbnail.name])
    answer = mediajobs("jobs", "list", option, "")
    assert (answer.code, answer.out) == (2, "")
    assert "Traceback" not in answer.err


def test_an_empty_job_is_not_watched(mediajobs: Call, platform: Platform, clips: Clips) -> None:
    """Rather than all jobs until Ctrl-C."""
    platform.media.add(clips.landscape(), types=[Thumbnail.name])
    assert mediajobs("jobs", "watch", "").code == 2


def test_a_filter_that_names_what_is_there_is_answered(mediajobs: Call, platform: Platform, clips: Clips) -> None:
    """Even if the other conditions leave nothing."""
    (job,) = platform.media.add(clips.landscape(), types=[Thumbnail.name]).jobs
    for option, value in (("--trace", job.trace_id), ("--upload", job.subject_id), ("--error", "DISK_FULL")):
        assert mediajobs("jobs", "list", "--status", "dead", option, value).code == 0


@pytest.mark.parametrize("words", [("add",), ("demo",), ("add", "clip.mp4")], ids=" ".join)
def test_an_empty_name_is_refused(mediajobs: Call, words: tuple[str, ...], tmp_path: Path) -> None:
    """It is not the working folder."""
    answer = mediajobs(*words, "")
    assert (answer.code, answer.out) == (2, "")
    assert "empty name" in answer.err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("words", [("add",), ("export",), ("demo",)], ids=" ".join)
@pytest.mark.parametrize("address", ["http://example.com/a.json", "https:/example.com/a.edl"])
def test_addresses_of_the_web_are_not_supported(mediajobs: Call, words: tuple[str, ...], address: str) -> None:
    """Rather than said not to exist."""
    answer = mediajobs(*words, address)
    assert (answer.code, answer.out) == (2, "")
    assert "addresses are not supported here" in answer.err


def test_figures_of_nothing_are_none(mediajobs: Call) -> None:
    """Not 0 %."""
    answer = mediajobs("history", "stats")
    assert "0.0%" not in answer.out
    for figure in ("success rate", "average duration", "median duration", "95th percentile", "real-time factor"):
        (line,) = [line for line in answer.out.splitlines() if figure in line]
        assert line.split()[-1] == "none"


@pytest.mark.parametrize("command", ["up", "web"])
def test_a_port_that_is_taken_is_said_alike(mediajobs: Call, command: str) -> None:
    """Before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = mediajobs(command, "--port", taken.getsockname()[1])
    assert answer.code == 2
    assert answer.err.startswith("PORT_TAKEN: ")


def test_an_unknown_variable_is_warned_of_with_the_nearest_name(mediajobs: Call, tmp_path: Path) -> None:
    """On standard error, from the environment and from `.env`; the command goes on."""
    (tmp_path / ".env").write_text("MEDIAJOBS_MAX_ATTEMPT=2\n")
    answer = mediajobs("jobs", "list", "--json", leases_s="5")
    assert (answer.code, answer.json) == (0, [])
    warnings = answer.err.splitlines()
    assert "MEDIAJOBS_LEASES_S is no setting" in warnings[0]
    assert "MEDIAJOBS_LEASE_S is" in warnings[0]
    assert "MEDIAJOBS_MAX_ATTEMPTS is" in warnings[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [("s3_endpoint_url", "minio:9000"), ("console_url", "::::"), ("celery_url", "localhost"), ("leases_s", "5")],
)
def test_the_doctor_finds_nonsense_in_settings(mediajobs: Call, name: str, value: str) -> None:
    """One row, that names the variable."""
    found = {each["check"]: each for each in mediajobs("doctor", "--json", **{name: value}).json}
    assert found["settings"]["warning"]
    assert f"MEDIAJOBS_{name.upper()}" in found["settings"]["detail"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lease_s", "soon"),
        ("database_url", "mysql://db/x"),
        ("home", "/dev/null/home"),
        ("web_names", "http://x/"),
        ("storage_url", "nonsense"),
    ],
)
def test_one_bad_setting_is_one_row(mediajobs: Call, name: str, value: str) -> None:
    """What cannot work because of it is not listed as well."""
    answer = mediajobs("doctor", "--json", **{name: value})
    assert answer.code == 1
    assert len([each for each in answer.json if not each["fine"] or each["warning"]]) == 1
