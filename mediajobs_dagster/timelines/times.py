"""Exact times, and how they become frames and samples.

Times are rationals, so sums of them never round. For the screen, a time is snapped to the number of the nearest frame,
halves upwards. Only the edges of an item are snapped, never its length. So rounding does not add up along a timeline,
and two items that meet at a time meet at a frame.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

SAMPLE_RATE = 48_000
"""Sample rate of all sound in an export, Hz."""

_TOO_MUCH = 10**18
_RATIONAL = re.compile(r"(-?\d{1,18})(?:/(\d{1,18}))?|(-?\d{1,9}\.\d{1,18})", re.ASCII)


def exact(value: object) -> Fraction:
    """The exact time of a number of seconds, or of a text such as "1001/30000" or "2.5". Raises ValueError."""
    if isinstance(value, Fraction):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a time is a number of seconds, or a text such as '1001/30'")
    if not isinstance(value, str) and not abs(value) < _TOO_MUCH:
        raise ValueError("a time is a finite number of 18 digits at most")
    # A float stands for its shortest decimal form: 0.1 is exactly one tenth.
    text = repr(value) if isinstance(value, float) else str(value)
    try:
        if isinstance(value, str) and not _RATIONAL.fullmatch(value):
            raise ValueError
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{str(value)[:40]!r} is not a time; write seconds, or a text such as '1001/30'") from None


def time_to_json(value: Fraction) -> int | float | str:
    """The JSON form of an exact time: a number if that is exact, else a text such as "1001/30"."""
    if value.denominator == 1:
        return value.numerator
    decimal = float(value)
    return decimal if Fraction(repr(decimal)) == value else f"{value.numerator}/{value.denominator}"


_SCHEMA = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?\d+(/\d+|\.\d+)?$"}],
    "description": "Seconds: a number, or an exact rational such as '1001/30'.",
}

Time = Annotated[
    Fraction,
    BeforeValidator(exact),
    PlainSerializer(time_to_json, return_type=int | float | str),
    WithJsonSchema(_SCHEMA),
]
"""Seconds, exactly."""


def snap(seconds: Fraction, fps: Fraction) -> int:
    """The number of the frame nearest to `seconds`, halves upwards."""
    return math.floor(seconds * fps + Fraction(1, 2))


def samples_at(frame: int, fps: Fraction) -> int:
    """The number of the first sample that sounds with `frame`."""
    return snap(frame / fps, Fraction(SAMPLE_RATE))
