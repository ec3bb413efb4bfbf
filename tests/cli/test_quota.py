"""What is left of the quotas, for people and for scripts."""

from __future__ import annotations

from mediajobs_dagster.resilience.quota import YOUTUBE_SEARCH, YOUTUBE_UNITS, Quota
from tests.cli.conftest import Call
from tests.platform import Platform


def test_what_is_left_and_when_it_runs_out(mediajobs: Call, platform: Platform) -> None:
    """Figures and a forecast for each bucket; the service's word is told as such."""
    untouched = mediajobs("quota")
    assert "100 of 100 calls" in untouched.out
    assert untouched.out.count("not used yet") == 2
    quota = Quota.of(platform.history, platform.settings)
    quota.charge(YOUTUBE_UNITS, 9_000)
    quota.exhaust(quota.charge(YOUTUBE_SEARCH, 1))
    search, units = mediajobs("quota", "--json").json
    assert (search["bucket"], search["left"], search["used"]) == (YOUTUBE_SEARCH, 0, 1)
    assert search["exhaustedAt"]
    assert (units["bucket"], units["left"], units["anHour"]) == (YOUTUBE_UNITS, 1_000, 9_000)
    shown = mediajobs("quota", columns="80").out
    assert "1,000 of 10,000 units" in shown
    assert "used up, as the service said at " in shown


def test_limits_are_settings(mediajobs: Call, platform: Platform) -> None:
    """One that is used up says so."""
    Quota.of(platform.history, platform.settings).charge(YOUTUBE_SEARCH, 5)
    shown = mediajobs("quota", youtube_search_limit=5).out
    assert "0 of 5 calls" in shown
    assert "used up" in shown
