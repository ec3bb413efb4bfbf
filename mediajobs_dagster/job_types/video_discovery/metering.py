"""Charges the calls of the YouTube Data API to the quota."""

from __future__ import annotations

from dataclasses import dataclass

from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.resilience.quota import YOUTUBE_SEARCH, YOUTUBE_UNITS, Charge, Quota
from mediajobs_dagster.services.youtube import SEARCH

_UNITS = 1
"""What each of the four methods costs."""


@dataclass
class QuotaMeter:
    """Charges each call before it is made, and counts what calls took."""

    quota: Quota
    calls: int = 0
    units: int = 0

    def charge(self, method: str, /) -> ChargedCall:
        """Charge a call. Raises QuotaExhaustedError if it would not fit."""
        charge = self.quota.charge(YOUTUBE_SEARCH if method == SEARCH else YOUTUBE_UNITS, _UNITS)
        self.calls += 1
        return ChargedCall(self, charge)


@dataclass(frozen=True)
class ChargedCall:
    """A call that was charged."""

    meter: QuotaMeter
    charge: Charge

    def took(self, requests: int, /) -> None:
        """Set the charge right: each request that was sent costs."""
        taken = requests * _UNITS
        self.meter.units += taken
        self.meter.quota.correct(self.charge, taken, calls=requests)

    def refused(self) -> MediaJobsError:
        """Empty the bucket, as the service says that it is."""
        return self.meter.quota.exhaust(self.charge)
