"""Prepares edit decision lists (CMX 3600) for their adapter.

A list does not contain its frame rate, but the adapter needs it. And the adapter ignores the list's statement that its
time codes drop frames.
"""

from __future__ import annotations

import re
from fractions import Fraction

_TIME_CODE = re.compile(r"\b(\d\d:\d\d:\d\d)([:;.,])(\d\d)\b")
_MOTION = re.compile(r"\s*M2\s", re.IGNORECASE)


def prepared(text: str, rate: Fraction | None) -> tuple[str, Fraction, str | None]:
    """The text for the adapter, the rate to read it with, and a note if the rate had to be guessed."""
    drops = any_drops = False
    highest = 0
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("FCM"):
            drops = "DROP" in line and "NON" not in line
        elif line[:1].isdigit():
            highest = max([highest, *(int(code[2]) for code in _TIME_CODE.findall(line))])
            line = _TIME_CODE.sub(rf"\1{';' if drops or ';' in line else ':'}\3", line)
            any_drops = any_drops or ";" in line
        elif _MOTION.match(line):
            line = _TIME_CODE.sub(r"\1:\3", line)  # the adapter finds no others in such a line
        lines.append(line)
    if rate is not None:
        return "\n".join(lines), rate, None
    # Time codes drop frames only at 29.97 and 59.94.
    guess = Fraction(60_000 if highest >= 30 else 30_000, 1001) if any_drops else Fraction(_rate_with(highest))
    shown = f"{float(guess):.2f}".removesuffix(".00")
    note = f"An edit decision list does not contain its frame rate: {shown} frames a second were assumed."
    return "\n".join(lines), guess, note


def _rate_with(highest: int) -> int:
    """The lowest usual rate whose time codes have a frame of that number."""
    return next((rate for rate in (24, 25, 30, 50) if highest < rate), 60)
