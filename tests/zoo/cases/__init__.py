"""Every file of the zoo."""

from tests.zoo.cases import colours, containers, indexes, lengths, rates, scans, sounds, starts, tracks, turned
from tests.zoo.truth import Case

_GROUPS = (containers, starts, lengths, tracks, sounds, rates, indexes, colours, turned, scans)
CASES: dict[str, Case] = {case.name: case for group in _GROUPS for case in group.CASES}
"""By file name, in the order of docs/media.md."""
