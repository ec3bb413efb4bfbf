"""Access to OpenTimelineIO: a late import, adapters, exact times, and our metadata. Its objects are untyped."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

from mediajobs_dagster.errors import ExtraMissingError, RequestError
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.timelines.layout import true_rate

OURS = "mediajobs"
"""The key of our data in the metadata of any object."""
_CENTURIES = 10**10
"""Seconds; a larger value is not a time."""


def library() -> Any:
    """The package, imported on first use, because that takes a tenth of a second.

    Raises ExtraMissingError.
    """
    try:
        import opentimelineio  # pyright: ignore[reportMissingTypeStubs]  # it ships none
    except ModuleNotFoundError:
        raise ExtraMissingError.of("Timelines of other programs need", "otio") from None
    return opentimelineio


def adapter_of(suffix: str, *, reads: bool) -> str:
    """The name of the adapter for files that end with `suffix` (without a dot). Raises RequestError.

    The error names all suffixes for which an adapter is installed.
    """
    adapters = library().plugins.ActiveManifest().adapters
    feature = "read" if reads else "write_to_string"
    fit = [each for each in adapters if each.has_feature(feature)]
    for each in fit:
        if suffix.lower() in each.suffixes:
            return each.name
    known = ", ".join(sorted(f".{suffix}" for each in fit for suffix in each.suffixes))
    kind = f"files that end with .{suffix}" if suffix else "files without a suffix"
    raise RequestError(
        f"No installed adapter of OpenTimelineIO {'reads' if reads else 'writes'} {kind}; there are some for {known}."
    )


def seconds(time: Any) -> Fraction:
    """A RationalTime as exact seconds. Raises RequestError when it is not a time.

    A rounded rate stands for the exact one (29.97 for 30000/1001), a value for the simplest fraction of that float.
    """
    if math.isfinite(time.value):
        exact = Fraction(time.value).limit_denominator(10**6) / rate_of(time)
        if abs(exact) <= _CENTURIES:
            return exact
    raise _no_time(time)


def rate_of(time: Any) -> Fraction:
    """The exact rate of a RationalTime, frames a second. Raises RequestError when it is not a rate."""
    # The checks of a number come first: what is not one, such as NaN, cannot become a fraction.
    if math.isfinite(time.rate) and 0 < time.rate <= _CENTURIES and (rate := true_rate(time.rate)) > 0:
        return rate
    raise _no_time(time)


def _no_time(time: Any) -> RequestError:
    return RequestError(f"The timeline is broken: {time.value} frames at a rate of {time.rate} are not a time.")


def tellable(value: Fraction) -> Fraction:
    """A time that fits into a timeline's JSON: the same time, unless its fraction has too many digits."""
    return value.limit_denominator(10**9)


def our_metadata(thing: Any) -> JsonObject:
    """Our data in an object's metadata; empty if there is none."""
    metadata = json.loads(library().core.serialize_json_to_string(thing.metadata))
    ours: Any = metadata.get(OURS) if isinstance(metadata, dict) else None  # pyright: ignore  # decoded JSON
    return ours if isinstance(ours, dict) else {}  # pyright: ignore  # decoded JSON
