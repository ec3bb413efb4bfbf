"""Sentences that say what something is, in the ways that English has for that."""

from __future__ import annotations

import re

from mediajobs_dagster.study.words import STOP_WORDS, stem

_NAME = r"[^\W\d_][\w'’-]*(?: [^\W\d_][\w'’-]*){0,2}"
_IS_DEFINED = re.compile(
    rf"(?:An? |The )?(?P<name>{_NAME}),? "
    r"(?:(?:is|are) (?:an? |the |nothing |what |called |where |when |how |data )"
    r"|(?:means|refers to|describes|happens when|consists of|is defined as) )",
    re.IGNORECASE,
)
"""How sentences begin that say what something is."""
_IS_NAMED = re.compile(
    rf"\b(?:is|are|was|were) (?:called|known as|named) (?:an? |the )?(?P<passive>{_NAME})"
    rf"|\bcall(?:s|ed)? (?:it|that|this|these|those|them)(?: (?:[\w-]+ )?(?:an?|the))? (?P<active>{_NAME})",
    re.IGNORECASE,
)


def defined_in(text: str) -> tuple[str, ...] | None:
    """The stems of the term that a sentence defines; None: it defines none."""
    found = _IS_DEFINED.match(text)
    name = found["name"] if found else None
    if name is None and (named := _IS_NAMED.search(text)):
        name = named["passive"] or named["active"]
    words = [word.casefold().replace("’", "'") for word in (name or "").split()]
    while words and is_weak(words[-1]):
        words.pop()
    strong = 0
    while strong < len(words) and not is_weak(words[strong]):
        strong += 1
    return tuple(map(stem, words[:strong])) or None


def is_weak(word: str) -> bool:
    """Whether a word, case-folded, is no term, nor part of one."""
    return word in STOP_WORDS or len(word) < 3 or word.replace("-", "").isdecimal() or word.endswith("ly")
