"""The settings: their defaults, where they are read from, what is said of a bad one, and their published list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.settings import Settings, unknown_variables

EXAMPLE = Path(__file__).parent.parent / ".env.example"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder, and no variable of ours."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"MEDIAJOBS_{name.upper()}", raising=False)


def test_everything_lies_below_home_by_default(tmp_path: Path) -> None:
    """Nothing set: one folder in the working folder holds it all, and its path is absolute."""
    settings = Settings.load()
    assert settings.home == tmp_path / ".mediajobs"
    assert settings.database_url == f"sqlite:///{tmp_path}/.mediajobs/mediajobs.db"
    assert settings.storage_url == (tmp_path / ".mediajobs" / "objects").as_uri()
    assert settings.scratch == tmp_path / ".mediajobs" / "scratch"
    assert list(tmp_path.iterdir()) == []  # reading settings makes nothing


def test_home_moves_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Blanks in a path included."""
    monkeypatch.setenv("MEDIAJOBS_HOME", str(tmp_path / "my jobs"))
    settings = Settings.load()
    assert settings.scratch == tmp_path / "my jobs" / "scratch"
    assert settings.storage_url.endswith("/my%20jobs/objects")


def test_what_is_set_wins_over_what_home_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the three can lie elsewhere."""
    monkeypatch.setenv("MEDIAJOBS_DATABASE_URL", "postgresql://db/jobs")
    monkeypatch.setenv("MEDIAJOBS_STORAGE_URL", "s3://bucket/media")
    monkeypatch.setenv("MEDIAJOBS_SCRATCH_DIR", "/fast")
    settings = Settings.load()
    assert (settings.database_url, settings.storage_url) == ("postgresql://db/jobs", "s3://bucket/media")
    assert settings.scratch == Path("/fast")


def test_an_override_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`.env` is for defaults of a folder, the environment for one process, an override for one call."""
    (tmp_path / ".env").write_text("MEDIAJOBS_LEASE_S=1\nMEDIAJOBS_MAX_ATTEMPTS=1\nMEDIAJOBS_RETRY_BASE_S=1\n")
    monkeypatch.setenv("MEDIAJOBS_MAX_ATTEMPTS", "2")
    monkeypatch.setenv("MEDIAJOBS_RETRY_BASE_S", "2")
    settings = Settings.load(retry_base_s=3)
    assert (settings.lease_s, settings.max_attempts, settings.retry_base_s) == (1, 2, 3)


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Compose files pass on empty ones; a scratch folder of "" must not become the working folder."""
    for name in Settings.model_fields:
        monkeypatch.setenv(f"MEDIAJOBS_{name.upper()}", "")
    from_environment = Settings.load()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert from_environment == Settings.load(_env_file=None)


def test_every_bad_value_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two faults, one message, and what to do about it."""
    monkeypatch.setenv("MEDIAJOBS_LEASE_S", "soon")
    monkeypatch.setenv("MEDIAJOBS_MAX_PIXELS", "0")
    with pytest.raises(SettingsError, match=r"MEDIAJOBS_MAX_PIXELS: .*MEDIAJOBS_LEASE_S: .*\.env") as caught:
        Settings.load()
    assert caught.value.code == "SETTINGS_INVALID"


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in a log line nor in a dump."""
    monkeypatch.setenv("MEDIAJOBS_S3_SECRET_ACCESS_KEY", "hunter2hunter2")
    settings = Settings.load()
    assert settings.s3_secret_access_key is not None
    assert settings.s3_secret_access_key.get_secret_value() == "hunter2hunter2"
    assert "hunter2" not in f"{settings!r} {settings.model_dump()} {settings.model_dump_json()}"


# --- the published list ----------------------------------------------------------------------------------------------


def entry(name: str, field: FieldInfo) -> str:
    """A setting as it stands in `.env.example`: what it is, and its default, commented out."""
    default = "" if field.default is None else field.default
    default = ",".join(default) if isinstance(default, tuple) else default
    shown = (
        f"{default:g}" if isinstance(default, float) else str(default).lower() if default in (True, False) else default
    )
    return f"# {field.description}\n#MEDIAJOBS_{name.upper()}={shown}\n"


def test_the_example_names_every_setting_and_its_default() -> None:
    """Nothing is missing, nothing is left over, and in the order of the code."""
    listed = re.findall(r"^# .*\n#\w+=.*\n", EXAMPLE.read_text(), flags=re.MULTILINE)
    assert listed == [entry(name, field) for name, field in Settings.model_fields.items()]


def test_the_example_changes_nothing_when_its_lines_are_taken_in(tmp_path: Path) -> None:
    """With every line uncommented the settings are the defaults."""
    taken_in = re.sub(r"^#(?=MEDIAJOBS_)", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    (tmp_path / "all.env").write_text(taken_in)
    assert len(re.findall(r"^MEDIAJOBS_", taken_in, flags=re.MULTILINE)) == len(Settings.model_fields)
    assert Settings.load(_env_file=tmp_path / "all.env") == Settings.load(_env_file=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lease_s", "nan"),
        ("lease_s", "inf"),
        ("lease_s", "1e300"),
        ("lease_s", True),
        ("max_attempts", True),
        ("max_pixels", "9" * 5_000),
        ("s3_path_style", "2"),
    ],
)
def test_a_number_that_is_none_is_refused(name: str, value: object) -> None:
    """Neither what is not finite, nor what no date can tell, nor true for 1."""
    with pytest.raises(SettingsError, match=f"MEDIAJOBS_{name.upper()}: ") as caught:
        Settings.load(_env_file=None, **{name: value})
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("name", ["max_output_mb", "ffmpeg_memory_mb"])
def test_a_limit_that_the_kernel_cannot_hold_is_refused(name: str) -> None:
    """In bytes it would be no number for a limit, and every ffmpeg would fail."""
    with pytest.raises(SettingsError, match=f"MEDIAJOBS_{name.upper()}: "):
        Settings.load(_env_file=None, **{name: 10**13})


def test_a_folder_that_is_named_as_the_settings_file_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a virtual environment. One that is named on purpose is refused."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").mkdir()
    assert Settings.load() == Settings.load(_env_file=None)
    with pytest.raises(SettingsError, match="folder"):
        Settings.load(_env_file=tmp_path / ".env")


def test_only_near_names_are_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    """What all names begin with makes none of them near."""
    monkeypatch.setenv("MEDIAJOBS_NONSENSE", "1")
    monkeypatch.setenv("MEDIAJOBS_HOSTNAM", "a")
    told = unknown_variables(Path("nowhere"))
    assert "MEDIAJOBS_NONSENSE is no setting of mediajobs." in told
    assert "MEDIAJOBS_HOSTNAM is no setting of mediajobs; MEDIAJOBS_HOSTNAME is." in told


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("alert_quota_percent", "abc", "MEDIAJOBS_ALERT_QUOTA_PERCENT: has to be a number. "),
        ("alert_quota_percent", "101", "MEDIAJOBS_ALERT_QUOTA_PERCENT: has to be less than or equal to 100. "),
        ("max_attempts", "2.5", "MEDIAJOBS_MAX_ATTEMPTS: has to be a whole number. "),
        ("imds_enabled", "perhaps", "MEDIAJOBS_IMDS_ENABLED: has to be true or false. "),
        ("schedules", "storage_report=99 3 * * *", "MEDIAJOBS_SCHEDULES: '99' is no minute"),
    ],
)
def test_a_wrong_value_is_told_in_our_words(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    """Not in those of the library that checks it."""
    monkeypatch.setenv(f"MEDIAJOBS_{name.upper()}", value)
    with pytest.raises(SettingsError) as caught:
        Settings.load(_env_file=None)
    assert caught.value.message.startswith(said)


def test_headers_and_the_page_of_traces_are_checked() -> None:
    """By their form; what is wrong is told without the secret."""
    settings = Settings.load(traces_headers="api-key=a=b==, X-Team=media", traces_page="https://t.example/{traceId}")
    assert [each.get_secret_value() for each in settings.traces_headers] == ["api-key=a=b==", "X-Team=media"]
    for wrong in ("hunter2abc", "api key=hunter2abc", "a=b,=hunter2abc", "a=hunter2abc\n"):
        with pytest.raises(SettingsError, match="MEDIAJOBS_TRACES_HEADERS") as raised:
            Settings.load(traces_headers=[wrong] if wrong.endswith("\n") else wrong)
        assert "hunter2abc" not in f"{raised.value} {raised.value.__cause__}"
    with pytest.raises(SettingsError, match=r"MEDIAJOBS_TRACES_PAGE.*has no {traceId}"):
        Settings.load(traces_page="https://t.example/")
    assert "MEDIAJOBS_TRACES_URL is no address" in " ".join(Settings.load(traces_url="localhost:4318").doubts())
