"""Words of titles in any script, made comparable: letter case, accents and punctuation do not count."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from functools import lru_cache

_ACCENTS = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]")
"""Marks that may be left out: accents of Latin, Greek and Cyrillic, vowel signs of Hebrew and Arabic. In other scripts,
such as Devanagari and Thai, marks are letters."""
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})
"""Letters that look accented and have no accent to take off."""
_WITHOUT_SPACES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""Scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""
_EMPTY = frozenset(
    {
        *("a", "an", "and", "at", "contra", "das", "de", "del", "der", "die", "el", "et", "gegen", "in", "la", "le"),
        *("les", "of", "on", "s", "the", "und", "v", "versus", "vs", "x", "y"),
    }
)
"""Words that say nothing of what a video is about."""
_MONTHS = {
    "jan": 1,
    "january": 1,
    "feb": 2,
    "february": 2,
    "mar": 3,
    "march": 3,
    "apr": 4,
    "april": 4,
    "may": 5,
    "jun": 6,
    "june": 6,
    "jul": 7,
    "july": 7,
    "aug": 8,
    "august": 8,
    "sep": 9,
    "sept": 9,
    "september": 9,
    "oct": 10,
    "october": 10,
    "nov": 11,
    "november": 11,
    "dec": 12,
    "december": 12,
}
_YEAR_FIRST = re.compile(r"(?<!\d)(20\d\d)\D(\d{1,2})\D(\d{1,2})(?!\d)", re.ASCII)
_YEAR_LAST = re.compile(r"(?<!\d)(\d{1,2})[./-](\d{1,2})[./-](20\d\d)(?!\d)", re.ASCII)
_MONTH_NAMED = re.compile(r"(?<!\d)(?:(\d{1,2})(?:st|nd|rd|th)? )?([a-z]{3,9}) (?:(\d{1,2})(?:st|nd|rd|th)? )?(20\d\d)")


@lru_cache(4096)
def plain(text: str) -> str:
    """`text` in one letter case, without accents, with a space in the place of all else that is no letter or digit."""
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    bare = unicodedata.normalize("NFC", bare).casefold().translate(_LETTERS)
    return " ".join("".join(each if unicodedata.category(each)[0] in "LMN" else " " for each in bare).split())


@lru_cache(4096)
def words(text: str) -> frozenset[str]:
    """The words of a text that say something. Where a script has no spaces, each two characters that follow are one."""
    found: set[str] = set()
    for word in plain(text).split():
        if len(word) > 2 and _WITHOUT_SPACES.search(word):
            found.update(word[start : start + 2] for start in range(len(word) - 1))
        else:
            found.add(word)
    return frozenset(found - _EMPTY) or frozenset(found)


@lru_cache(4096)
def dates(text: str) -> frozenset[date]:
    """The days that a title names. One such as 03/04/2026 may be two of them."""
    simple = plain(text)
    found = {_day(*map(int, match)) for match in _YEAR_FIRST.findall(simple)}
    for first, second, year in _YEAR_LAST.findall(text):
        found |= {_day(int(year), int(second), int(first)), _day(int(year), int(first), int(second))}
    for before, name, after, year in _MONTH_NAMED.findall(simple):
        if (month := _MONTHS.get(name)) and (day := after or before):
            found.add(_day(int(year), month, int(day)))
    return frozenset(day for day in found if day)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
