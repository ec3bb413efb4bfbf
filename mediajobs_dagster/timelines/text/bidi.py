"""The order of letters on a line with scripts that run from right to left.

The Unicode Bidirectional Algorithm (annex 9), as far as captions need it: implicit levels and their reordering.
Explicit embeddings and isolates are not supported, but as the first character of a paragraph they set its direction.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import groupby, pairwise

_RIGHT = frozenset({"R", "AL", "RLE", "RLO", "RLI"})
_LEFT = frozenset({"L", "LRE", "LRO", "LRI"})
_TO_THE_RIGHT_WITHIN = frozenset({"R", "AL", "AN"})
_EXPLICIT = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_IGNORED = frozenset({"BN", *_EXPLICIT})
_NEUTRAL = frozenset({"B", "S", "WS", "ON"})
_BRACKETS = {"(": ")", "[": "]", "{": "}", "⟨": "⟩", "〈": "〉", "「": "」", "（": "）"}


def is_explicit(character: str) -> bool:
    """Whether a character only embeds or isolates others."""
    return unicodedata.bidirectional(character) in _EXPLICIT


def base_level(text: str) -> int:
    """1 if the paragraph runs from right to left, else 0: by its first character that has a direction (P2, P3)."""
    kinds = (unicodedata.bidirectional(character) for character in text)
    return next((int(kind in _RIGHT) for kind in kinds if kind in _RIGHT or kind in _LEFT), 0)


def levels(text: str, base: int) -> list[int]:
    """Each character's embedding level: odd ones run from right to left."""
    kinds = [unicodedata.bidirectional(character) or "L" for character in text]
    if base == 0 and not _TO_THE_RIGHT_WITHIN.intersection(kinds):
        return [0] * len(kinds)
    outside = "R" if base else "L"
    _resolve_weak(kinds, outside)
    _resolve_brackets(text, kinds, outside)
    _resolve_neutral(kinds, outside)
    if base:
        return [1 if kind == "R" else 2 for kind in kinds]
    return [{"L": 0, "R": 1}.get(kind, 2) for kind in kinds]


def visual_order(run_levels: Sequence[int]) -> list[int]:
    """Indexes of runs from left to right (L2): for each level, highest first, reverse the runs at it or above."""
    order = list(range(len(run_levels)))
    for level in range(max(run_levels, default=0), 0, -1):
        start = 0
        for inside, group in groupby(list(order), key=lambda run: run_levels[run] >= level):
            end = start + sum(1 for _ in group)
            if inside:
                order[start:end] = reversed(order[start:end])
            start = end
    return order


def turned(graphemes: Sequence[str]) -> str:
    """Right-to-left text as it is drawn from left to right: reversed, with mirrored brackets."""
    mirrored = {ord(a): b for pair in _BRACKETS.items() for a, b in (pair, pair[::-1])}
    return "".join(reversed(graphemes)).translate(mirrored)


def _resolve_weak(kinds: list[str], outside: str) -> None:
    """Rules W1 to W7: marks take their letter's kind, separators their numbers', numbers their script's."""
    before = strong = outside
    for i, kind in enumerate(kinds):
        if kind == "NSM" or kind in _IGNORED:
            kinds[i] = before
        if kinds[i] in ("L", "R", "AL"):
            strong = kinds[i]
        elif kinds[i] == "EN" and strong == "AL":
            kinds[i] = "AN"
        before = kinds[i]
    kinds[:] = ["R" if kind == "AL" else kind for kind in kinds]
    for i in range(1, len(kinds) - 1):
        around = kinds[i - 1]
        if around == kinds[i + 1] and (
            (kinds[i] == "CS" and around in ("EN", "AN")) or (kinds[i] == "ES" and around == "EN")
        ):
            kinds[i] = around
    _join_terminators(kinds)
    strong = outside
    for i, kind in enumerate(kinds):
        if kind in ("L", "R"):
            strong = kind
        elif kind == "EN" and strong == "L":
            kinds[i] = "L"
        elif kind in ("ES", "ET", "CS"):
            kinds[i] = "ON"


def _join_terminators(kinds: list[str]) -> None:
    """W5: a percent or currency sign beside a number belongs to it."""
    for order in (range(1, len(kinds)), range(len(kinds) - 2, -1, -1)):
        step = order.step
        for i in order:
            if kinds[i] == "ET" and kinds[i - step] == "EN":
                kinds[i] = "EN"


def _resolve_brackets(text: str, kinds: list[str], outside: str) -> None:
    """N0: both brackets of a pair get one direction."""
    inside_out = "L" if outside == "R" else "R"
    for opening, closing in sorted(_pairs(text, kinds)):
        within = {_direction(kind) for kind in kinds[opening + 1 : closing]}
        if outside in within:
            kinds[opening] = kinds[closing] = outside
        elif inside_out in within:
            before = next((d for d in map(_direction, reversed(kinds[:opening])) if d), outside)
            kinds[opening] = kinds[closing] = before


def _pairs(text: str, kinds: list[str]) -> list[tuple[int, int]]:
    stack: list[tuple[str, int]] = []
    pairs: list[tuple[int, int]] = []
    for i, character in enumerate(text):
        if kinds[i] != "ON":
            continue
        if character in _BRACKETS:
            stack.append((_BRACKETS[character], i))
        elif any(closing == character for closing, _ in stack):
            while stack[-1][0] != character:
                stack.pop()
            pairs.append((stack.pop()[1], i))
    return pairs


def _direction(kind: str) -> str:
    """The direction that a kind has for its neutral neighbours; empty for neutral kinds."""
    return {"L": "L", "R": "R", "EN": "R", "AN": "R"}.get(kind, "")


def _resolve_neutral(kinds: list[str], outside: str) -> None:
    """N1, N2: neutral characters go with both neighbours if these agree, else with the paragraph."""
    edges = [-1, *(i for i, kind in enumerate(kinds) if kind not in _NEUTRAL), len(kinds)]
    for before, after in pairwise(edges):
        left = _direction(kinds[before]) if before >= 0 else outside
        right = _direction(kinds[after]) if after < len(kinds) else outside
        kinds[before + 1 : after] = [left if left == right else outside] * (after - before - 1)
