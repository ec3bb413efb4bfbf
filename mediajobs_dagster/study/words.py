"""Words of a text in any script, in the form in which they are compared."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Kana, Han
)
"""Scripts that are written without blanks between words."""

_ENGLISH = """
    a about above after again against all also always am an and another any anything are aren't around as at away
    back basically be because been before began begin behind being below between bit both but by came can can't
    cannot come comes could couldn't did didn't do does doesn't doing don't done down during each either else
    enough even ever every everything far few first for from further gave get gets getting give given go goes
    going gone gonna good got great had happen happens hardly has hasn't have having he he's her here hers herself
    him himself his how however i i'd i'll i'm i've if in instead into is isn't it it's its itself just keep kind
    know known last later least less let let's like likely little long look lot lots made mainly make makes making
    many maybe me mean means might mine more most much must my myself near need needs never new next no none nor
    not nothing now of off often oh ok okay old on once one ones only onto or other others our ours out over own
    part people perhaps put quite rather really right said same saw say says see seem seems seen several shall she
    should show since so some something sometimes soon still such take taken takes talk tell than that that's the
    their theirs them themselves then there there's therefore these they they're thing things think this those
    though three through thus to today together told too took toward try turn two under until up upon us use used
    uses using usually very want wants was wasn't way we we'll we're we've well went were what what's when where
    whether which while who whom whose why will with within without won't would wouldn't yes yet you you'll you're
    you've your yours yourself hello welcome thanks thank everyone actually already almost able simply whole
    quickly slowly exactly ask asks asked call called calls kinds sort sorts instance example examples number
    numbers time times day days year years half second seconds minute minutes hour hours four five six seven eight
    nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty
    sixty seventy eighty ninety hundred thousand million billion percent small smaller large larger big bigger
    longer short shorter high higher low lower older bad worse better best easy hard early late full empty real
    true false common typical popular different similar certain possible point points ways side sides place case
    cases bunch couple pair word words video week weeks month months morning night tomorrow yesterday please
    question questions answer answers begins start starts started stop stops end ends puts turns lets helps help
    wanted direction directions looks looked looking writes write wrote written finds find found explains explain
    compares brings bring brought becomes become became holds follows gives allows allow contains contain includes
    include requires require provides provide creates create remains remain appears appear decides decide reads sees
    hears knows lives stays stay sits stands tries tried runs jump jumps
"""
STOP_WORDS = frozenset(_ENGLISH.split())
"""English words that say nothing of what a text is about. Those of other languages are found by how common they are."""


def words_of(text: str) -> list[str]:
    """The words of a text, case-folded, in their order; of unspaced scripts, every two neighbouring characters."""
    found: list[str] = []
    for match in _word().finditer(unicodedata.normalize("NFC", text)):
        word = match[0].casefold().replace("’", "'")
        if not _unspaced().match(word) or len(word) == 1:
            found.append(word)
        else:
            found += (word[at : at + 2] for at in range(len(word) - 1))
    return found


def stem(word: str) -> str:
    """A word without the endings of an English plural or genitive; words of other scripts as they are."""
    word = word.removesuffix("'s").removesuffix("'")
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def spans(text: str) -> list[tuple[int, int]]:
    """Where the words of a text begin and end; a run of an unspaced script is one."""
    return [match.span() for match in _word().finditer(text)]


def is_unspaced(word: str) -> bool:
    """Whether a word begins in a script without blanks between words."""
    return _unspaced().match(word) is not None


@cache
def _word() -> re.Pattern[str]:
    # `\w` leaves out the marks that are part of words in Hindi, Arabic and others.
    marks = "".join(re.escape(chr(code)) for code in range(0x300, min(0x10000, sys.maxunicode)) if _is_mark(code))
    letter = f"(?:[^\\W_{_UNSPACED}]|[{marks}])"
    return re.compile(f"[{_UNSPACED}]+|{letter}+(?:['’-]{letter}+)*")


def _is_mark(code: int) -> bool:
    return unicodedata.category(chr(code)) in ("Mn", "Mc") and not _unspaced().match(chr(code))


@cache
def _unspaced() -> re.Pattern[str]:
    return re.compile(f"[{_UNSPACED}]")
