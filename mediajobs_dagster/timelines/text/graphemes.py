"""Splits text into graphemes (what a reader sees as one character), and finds where lines may end.

A simple form of Unicode's annexes 29 and 14, without their tables: marks, joiners, selectors, skin tones, flags,
conjuncts and Korean syllables stay together. A line may end at a space, after a hyphen, and between ideographs.
"""

from __future__ import annotations

import unicodedata

_JOINER = "\u200d"
_LONGEST = 32
"""The most characters of a grapheme. Real writing has fewer marks (Unicode's stream-safe format allows 30)."""
_SPACING = "\u0e33\u0eb3"  # Thai and Lao vowels: letters to Unicode, but partly above the letter before
_NEVER_FIRST = frozenset(
    "、。，．・：；？！」』】〉》〕）］｝’”ー々ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ…‥%％,.!?:;)]}/-–—"
)
_NEVER_LAST = frozenset("「『【〈《〔（［｛‘“([{")
_BREAK_AFTER = frozenset("-–—/\u2010\u200b")
_UNBREAKABLE_SPACES = frozenset("\u00a0\u202f\u2007")


def clean(text: str) -> str:
    """Text as it is drawn: composed, lines end with \\n, tabs are spaces, and characters without a picture are gone."""
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    for end in "\r\u2028\u2029":
        text = text.replace(end, "\n")
    # Control characters, and surrogates that stand alone.
    kept = "".join(c for c in text if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs"))
    return unicodedata.normalize("NFC", kept)


def graphemes(text: str) -> list[str]:
    """The text's graphemes, in order; too many marks on one letter are left out."""
    found: list[str] = []
    for character in text:
        if found and len(found[-1]) >= _LONGEST and _is_mark(character):
            continue
        if found and _joins(found[-1], character):
            found[-1] += character
        else:
            found.append(character)
    return found


def _joins(before: str, character: str) -> bool:
    if (before.isascii() and character.isascii()) or len(before) >= _LONGEST:
        return False
    last = before[-1]
    category = unicodedata.category(character)
    if _is_mark(character) or character in _SPACING or "\U000e0020" <= character <= "\U000e007f":
        return True
    if character in "\u200c\u200d" or "\U0001f3fb" <= character <= "\U0001f3ff":
        return True
    if last == _JOINER:
        return category in ("So", "Lo")  # a family of emoji; a conjunct
    if unicodedata.combining(last) == 9:  # a virama: the next consonant joins this one
        return category == "Lo"
    if _is_flag_half(character):
        return len(before) == 1 and _is_flag_half(before)
    return "\u1160" <= character <= "\u11ff" and "\u1100" <= last <= "\u11ff"  # a Korean syllable, letter by letter


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Mc", "Me")


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def breaks(parts: list[str]) -> list[int]:
    """The numbers of graphemes after which a line may end, ascending; the last is the whole text."""
    inner = (i for i in range(1, len(parts)) if _may_break(parts[i - 1], parts[i]))
    return [*inner, len(parts)] if parts else []


def _may_break(before: str, after: str) -> bool:
    if is_space(after):
        return False  # the space stays on the line before, where it is not drawn
    if is_space(before):
        return True
    if before[0] in _NEVER_LAST or after[0] in _NEVER_FIRST:
        return False
    if before[0] in _BREAK_AFTER:
        return not after[0].isdigit()
    return _is_ideograph(before[0]) or _is_ideograph(after[0])


def needs_shaping(text: str) -> bool:
    """Whether letters change with their neighbours: Arabic and its kin, the scripts of India and South East Asia."""
    return any("\u0600" <= c <= "\u0dff" or "\u0f00" <= c <= "\u109f" or "\u1780" <= c <= "\u18af" for c in text)


def is_space(grapheme: str) -> bool:
    """Whether a line may end at this space."""
    return grapheme.isspace() and grapheme not in _UNBREAKABLE_SPACES


def _is_ideograph(character: str) -> bool:
    """Whether lines may end beside it: Chinese, Japanese and emoji. Korean text breaks at its spaces."""
    return (
        "\u2e80" <= character <= "\u9fff"
        or "\uf900" <= character <= "\ufaff"
        or "\uff00" <= character <= "\uffef"
        or "\U0001f000" <= character <= "\U0003ffff"
    )
