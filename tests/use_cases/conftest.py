"""The history on both engines, as in the history's own tests."""

from tests.history.conftest import cleared_postgres, history, history_url, migrated_postgres

__all__ = ["cleared_postgres", "history", "history_url", "migrated_postgres"]
