"""Which configuration of Dagster counts: of DAGSTER_HOME, else of the working folder, else the package's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster._core.workspace.load_target import WorkspaceFileTarget

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.orchestration import defaults
from mediajobs_dagster.orchestration.embedded import EmbeddedComputeLogs
from mediajobs_dagster.orchestration.instance import open_instance
from mediajobs_dagster.orchestration.serving.address import workspace_file
from mediajobs_dagster.settings import Settings

PROJECT = Path(__file__).parents[2]
PACKAGE = Path(defaults.__file__).parent
FIVE_RUNS = """
run_coordinator: {module: dagster.core.run_coordinator, class: QueuedRunCoordinator, config: {max_concurrent_runs: 5}}
"""


def runs_at_once() -> int:
    """How many runs the instance that counts carries out at once."""
    with open_instance(Settings.load(_env_file=None)) as instance:
        return instance.get_concurrency_config().run_queue_config.max_concurrent_runs


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MEDIAJOBS_HOME", str(tmp_path / "home"))
    return folder


def test_a_slow_light_job_leaves_a_slot_free() -> None:
    """The light lane has more than one slot, and one of them is free whatever the other lanes do."""
    with open_instance(Settings.load(_env_file=None)) as instance:
        limits = instance.get_concurrency_config().run_queue_config.tag_concurrency_limits
        lanes = {limit["value"]: limit["limit"] for limit in limits}
        assert lanes["light"] > 1
        assert lanes["heavy"] + lanes["network"] < runs_at_once()


@pytest.mark.parametrize("name", [defaults.INSTANCE, defaults.WORKSPACE])
def test_the_projects_file_is_the_packages(name: str) -> None:
    """One file under two names: they cannot come to differ."""
    assert (PROJECT / name).resolve() == PACKAGE / name


def test_an_empty_folder_has_the_embedded_default(empty: Path, tmp_path: Path) -> None:
    """Everything lies below MEDIAJOBS_HOME, and nothing in the working folder."""
    with open_instance(Settings.load(_env_file=None)) as instance:
        assert isinstance(instance.compute_log_manager, EmbeddedComputeLogs)
        assert instance.get_runs_count() == 0
    assert list(empty.iterdir()) == []
    assert list((tmp_path / "home" / "dagster").rglob("runs.db"))


def test_the_file_in_the_working_folder_counts(empty: Path) -> None:
    """It is not mixed with the package's own."""
    before = runs_at_once()
    (empty / defaults.INSTANCE).write_text(FIVE_RUNS)
    assert (before, runs_at_once()) == (4, 5)


def test_dagster_home_counts_more(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for Dagster's own commands."""
    home = tmp_path / "dagster-home"
    home.mkdir()
    (home / defaults.INSTANCE).write_text(FIVE_RUNS.replace("5", "7"))
    (empty / defaults.INSTANCE).write_text(FIVE_RUNS)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    assert runs_at_once() == 7


def test_the_workspace_follows_the_same_rule(empty: Path) -> None:
    """The one that is named, else of the working folder, else the package's own."""
    own = workspace_file(None)
    (empty / defaults.WORKSPACE).touch()
    (empty / "named.yaml").touch()
    found = [own, workspace_file(None), workspace_file(empty / "named.yaml")]
    assert found == [
        WorkspaceFileTarget(paths=[str(path)])
        for path in (PACKAGE / defaults.WORKSPACE, empty / defaults.WORKSPACE, empty / "named.yaml")
    ]


def test_a_workspace_that_is_not_there_is_refused(empty: Path) -> None:
    """Somebody meant another one than the default."""
    with pytest.raises(SettingsError, match=r"no .*nope.yaml"):
        workspace_file(empty / "nope.yaml")
