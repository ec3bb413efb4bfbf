"""Whether a talk bears out what a language model says of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from mediajobs_dagster.study.talk import Talk
from mediajobs_dagster.study.words import STOP_WORDS, is_unspaced, stem, words_of

_BEFORE, _AFTER = 2, 4
"""Lines around the one that is named, in which its words may be said."""
_LEAST_SHARE = 0.2
_BEGINNING = 5
"""Words that begin alike count as one: descends and descent."""
_ADDRESS = re.compile(r"https?://|www\.|\b[\w.-]+@[\w-]+\.\w", re.IGNORECASE)


@dataclass(frozen=True)
class Grounding:
    """Compares what is said of a talk with what is said in it."""

    talk: Talk

    def bears_out(self, text: str, line: int) -> bool:
        """Whether enough of a text's words are said around a line, and it names no address that the talk does not."""
        around = range(max(0, line - _BEFORE), min(len(self.talk.passages), line + _AFTER + 1))
        said = {_beginning(word) for number in around for word in self.talk.passages[number].stems}
        return self._is_of(text, said)

    def is_about(self, text: str, lines: range) -> bool:
        """Whether enough of a text's words are said in these lines."""
        if len(lines) == len(self.talk.passages):
            return self._is_of(text, self._all)
        return self._is_of(text, {_beginning(word) for number in lines for word in self.talk.passages[number].stems})

    def _is_of(self, text: str, said: Iterable[str]) -> bool:
        if _ADDRESS.search(text):
            return False
        words = {_beginning(stem(word)) for word in words_of(text) if word not in STOP_WORDS}
        return bool(words) and len(words & set(said)) / len(words) >= _LEAST_SHARE

    @cached_property
    def _all(self) -> set[str]:
        return {_beginning(word) for passage in self.talk.passages for word in passage.stems}


def _beginning(word: str) -> str:
    return word if is_unspaced(word) else word[:_BEGINNING]
