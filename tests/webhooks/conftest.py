"""The history on both engines, and settings with a secret that allow receivers on loopback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mediajobs_dagster.settings import Settings
from tests.history.conftest import cleared_postgres, history, history_url, migrated_postgres
from tests.webhooks.receiver import SECRET

__all__ = ["cleared_postgres", "history", "history_url", "migrated_postgres"]

SettingsOf = Callable[..., Settings]


@pytest.fixture
def settings_of(tmp_path: Path) -> SettingsOf:
    """Settings in the test's folder; keyword arguments change them."""

    def load(**changes: object) -> Settings:
        defaults = {"home": tmp_path / "home", "webhook_secret": SECRET, "private_addresses": "127.0.0.0/8"}
        return Settings.load(_env_file=None, **(defaults | changes))

    return load


@pytest.fixture
def settings(settings_of: SettingsOf) -> Settings:
    """Those settings, as they are."""
    return settings_of()
