"""What a storage report says, as frozen values."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from mediajobs_dagster.models import Value

GB = 1 << 30
"""Bytes of a GB, as storages bill it."""


class Finding(StrEnum):
    """What can be odd about an object."""

    MISSING = "missing"
    LEFT_OVER = "left_over"
    PAST_RETENTION = "past_retention"
    NOT_IN_HISTORY = "not_in_history"
    MISFIT = "misfit"
    UNFINISHED = "unfinished"


class Amount(Value):
    """So many objects, and their size together."""

    objects: int = 0
    bytes: int = 0

    def plus(self, bytes: int) -> Amount:
        """With one object more, of that size."""
        return Amount(objects=self.objects + 1, bytes=self.bytes + bytes)


class PrefixFigures(Value):
    """What lies below one prefix."""

    prefix: str
    is_known: bool = Field(description="Whether the storage map has it.")
    objects: int
    bytes: int
    growth: Amount | None = Field(description="Since the report before; null: there was none, or it lacks the prefix.")
    retention_days: int | None = Field(description="How long the map keeps objects, days; null: for ever.")
    past_retention: Amount = Field(description="Objects that are older than that.")
    past_retention_named: Amount = Field(description="Those of them that uploads or current outputs name: they stay.")
    left_over: Amount = Field(description="Objects of attempts that are over, which no success names.")
    not_in_history: Amount = Field(description="Objects older than a day that the history does not know.")
    misfit: Amount = Field(description="Objects whose keys look like no pattern of the map.")
    unfinished: int = Field(description="Multipart uploads, or files, that their writers have not finished.")
    missing: int = Field(description="Objects that the history names, and that are not there.")


class Example(Value):
    """One odd object."""

    finding: Finding
    key: str
    bytes: int | None = Field(description="Null: not known.")
    at: datetime | None = Field(description="When it was written; null: not known.")
    reason: str = Field(description="Why it is listed, for people.")


class StorageReport(Value):
    """What lies in the storage at one moment, and what is odd about it."""

    storage: str = Field(description="The address of the storage.")
    taken_at: datetime = Field(description="When the objects began to be counted.")
    seconds: float = Field(description="How long it took.")
    requests: int = Field(description="Operations of the storage: pages of listings, and objects that were asked for.")
    objects: int
    bytes: int
    since: datetime | None = Field(description="When the report before was taken; null: there is none to compare.")
    growth: Amount | None = Field(description="Objects and bytes more than then; negative: fewer.")
    price_gb_month: float | None = Field(description="MEDIAJOBS_STORAGE_PRICE_GB_MONTH.")
    cost_month: float | None = Field(description="What the bytes cost a month; null: no price is set.")
    past_retention: Amount
    past_retention_named: Amount
    left_over: Amount
    not_in_history: Amount
    misfit: Amount
    unfinished: int
    oldest_unfinished: datetime | None
    missing: int
    is_missing_checked: bool = Field(
        description="Whether each missing object was asked for once more; of a thousand and more, some may be there."
    )
    unknown_prefixes: int = Field(description="Prefixes that the map does not know.")
    prefixes: tuple[PrefixFigures, ...] = Field(
        description="Those of the map, then the others; beyond a hundred others are one."
    )
    examples: tuple[Example, ...] = Field(description="Up to twenty of each finding.")
