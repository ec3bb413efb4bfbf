r"""Shows control characters instead of sending them to a terminal.

File names, tags of media and what ffmpeg says of them come from outside. Characters in them can colour or clear a
terminal, write over lines, or make text run backwards (https://cwe.mitre.org/data/definitions/150.html,
https://trojansource.codes). Stored text keeps them; where it is shown, they look as in Python's source: `\x1b`.
"""

from __future__ import annotations

import re

# C0 but tab and line feed, DEL and C1; separators of lines; embeddings, overrides and isolates of direction; halves of
# surrogate pairs, which stand for bytes of file names that are no UTF-8 and which no output takes.
_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_BUT_LINES = re.compile(f"[{_CONTROLS}]")
_ALL = re.compile(rf"[{_CONTROLS}\t\n]")
_LOOSE_LINE = re.compile(r"\n(?!  )")
_LEAST_MONEY, _TOLD_IN_CENTS = 0.0001, 0.995


def printable(text: str) -> str:
    """`text` with control characters escaped; lines and tabs stay."""
    return _BUT_LINES.sub(_escaped, text)


def in_one_line(text: str) -> str:
    """`text` with control characters escaped, lines and tabs too."""
    return _ALL.sub(_escaped, text)


def in_a_list(text: str) -> str:
    """`text` with control characters escaped, and all lines that are not indented by two spaces, as those of lists are.

    So a name in a message cannot look like a message of its own.
    """
    return _LOOSE_LINE.sub(_escaped, printable(text)).replace("\t", "\\t")


def printable_json(encoded: str) -> str:
    """JSON with the control characters escaped that JSON itself lets through; its values stay the same."""
    return _BUT_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", encoded)


def money(amount: float | None) -> str | None:
    """An amount for people, without its currency: `1,234.50`, `0.046`, `< 0.0001`; None for None."""
    if amount is None:
        return None
    if 0 < amount < _LEAST_MONEY:
        return f"< {_LEAST_MONEY:g}"
    return f"{amount:,.2f}" if amount >= _TOLD_IN_CENTS or not amount else f"{amount:.2g}"


def counted(number: int, noun: str, many: str | None = None) -> str:
    """A number with its noun: `1 export`, `2 exports`, `1,200 jobs`; `many` is its plural where no s makes it."""
    return f"{number:,} {noun if number == 1 else many or f'{noun}s'}"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", errors="backslashreplace").decode()
