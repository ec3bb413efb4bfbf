"""Time codes: labels of frames, such as 01:00:00:00, and the times that they stand for.

With drop-frame time code (SMPTE ST 12-1), two labels (at 60 frames a second: four) are left out each minute but every
tenth one, so that labels at 29.97 frames a second keep up with the clock. No frames are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_CODE = re.compile(r"(\d{1,2})[:;.,](\d\d)[:;.,](\d\d)([:;.,])(\d{2,3})")
_SEXAGESIMAL = 60


@dataclass(frozen=True)
class TimeCode:
    """One label."""

    hours: int
    minutes: int
    seconds: int
    frames: Fraction
    drops: bool
    """Whether it is written as drop-frame time code, with a semicolon."""

    def counted(self, rate: Fraction, *, drops: bool) -> Fraction:
        """The number of the frame with this label, at `rate` frames a second, counted from 00:00:00:00."""
        minutes = 60 * self.hours + self.minutes
        whole = (60 * minutes + self.seconds) * nominal(rate) + self.frames
        return whole - _left_out(rate) * (minutes - minutes // 10) if drops else whole


def nominal(rate: Fraction) -> int:
    """How many frames a second of time code has: 30 at 29.97."""
    return max(1, round(rate))


def can_drop(rate: Fraction) -> bool:
    """Whether there is drop-frame time code for `rate`."""
    return nominal(rate) % 30 == 0


def read_code(text: str) -> TimeCode | None:
    """A time code; None if `text` is none."""
    found = _CODE.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds, mark, frames = found.groups()
    if int(minutes) >= _SEXAGESIMAL or int(seconds) >= _SEXAGESIMAL:
        return None
    return TimeCode(int(hours), int(minutes), int(seconds), Fraction(frames), drops=mark == ";")


def shown_code(seconds: Fraction, rate: Fraction, *, drops: bool) -> str:
    """The label of the frame at a time."""
    frame, per_second = max(0, round(seconds * rate)), nominal(rate)
    if drops and can_drop(rate):
        tens, rest = divmod(frame, 600 * per_second - 9 * _left_out(rate))
        minutes = max(0, rest - per_second * 60) // (60 * per_second - _left_out(rate)) + 1
        left_out = minutes if rest >= per_second * 60 else 0
        frame += _left_out(rate) * (9 * tens + left_out)
    whole, frames = divmod(frame, per_second)
    clock = f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{clock}{';' if drops and can_drop(rate) else ':'}{frames:02d}"


def _left_out(rate: Fraction) -> int:
    """How many labels are left out at the start of a minute."""
    return nominal(rate) // 15
