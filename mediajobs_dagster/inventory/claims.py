"""Who has a claim to an object: a running attempt, a success that names it, or nobody any more.

Every attempt publishes under keys of its own, so its id in the key tells whom to ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mediajobs_dagster.history import History
from mediajobs_dagster.history.attempts import outputs_of
from mediajobs_dagster.history.current import Standing
from mediajobs_dagster.models import AttemptStatus, result_origin
from mediajobs_dagster.storage import ObjectStat, Unfinished, upload_source_key
from mediajobs_dagster.storage.keys import CHECKPOINTS, attempt_of
from mediajobs_dagster.storage.trash import TRASH
from mediajobs_dagster.storage.whole_file import is_partial

Find = ObjectStat | Unfinished

SAFE_AGE = timedelta(days=7)
"""How old parts have to be that belong to no attempt, such as those of a file that was being added."""

_ENDED = {
    AttemptStatus.FAILURE: "failed",
    AttemptStatus.SKIPPED: "made nothing",
    AttemptStatus.CANCELLED: "was cancelled",
    AttemptStatus.LOST: "was lost",
}


class Verdict(StrEnum):
    """What the history says of an object."""

    LIVE = "live"
    """Its attempt is running."""
    STANDING = "standing"
    """A success names it, or may name it."""
    LEFT_OVER = "left_over"
    """Nobody is writing it any more, and no success names it."""
    UNKNOWN = "unknown"
    """The history does not know its attempt; another installation may have made it."""


@dataclass(frozen=True)
class Judged:
    """An object, or parts of one, and what the history says of it."""

    find: Find
    verdict: Verdict
    reason: str = ""
    """Why it is left over, for people."""


def left_over(finds: Sequence[Find], history: History, *, now: datetime) -> list[Find]:
    """Those of `finds` that nobody is writing any more, and that no success names."""
    return [each.find for each in judge(finds, history, now=now) if each.verdict is Verdict.LEFT_OVER]


def judge(finds: Sequence[Find], history: History, *, now: datetime) -> list[Judged]:
    """What the history says of each of `finds`, in their order; ask about a thousand at a time.

    An object of an attempt that is not in this history is unknown, whatever it is. What lies in the trash is unknown
    too: it goes by its own time.
    """
    owners = [None if find.key.startswith(TRASH) else attempt_of(find.key) for find in finds]
    # After the finds: an attempt that has written one has a row by now, and one that is over stays over.
    standings = history.current.standings(sorted({owner for owner in owners if owner}))
    judged = [_judged(find, owner, standings.get(owner or ""), now) for find, owner in zip(finds, owners, strict=True)]
    replaced = [each.find for each in judged if each.reason == _REPLACED]
    uploads = _upload_keys(replaced, standings, history)
    # An upload is found by its job, and stays, whatever else is made of the same subject.
    return [
        Judged(each.find, Verdict.STANDING) if each.reason == _REPLACED and each.find.key in uploads else each
        for each in judged
    ]


_REPLACED = "a newer success replaced it"


def _judged(find: Find, owner: str | None, standing: Standing | None, now: datetime) -> Judged:
    if isinstance(find, ObjectStat) and find.key.startswith(CHECKPOINTS):
        if now - find.modified > SAFE_AGE:
            return Judged(find, Verdict.LEFT_OVER, f"no attempt has gone on from it for {SAFE_AGE.days} days")
        return Judged(find, Verdict.LIVE)
    if standing is None:
        if isinstance(find, Unfinished) and _is_forgotten(find, now):
            return Judged(find, Verdict.LEFT_OVER, f"its writer has not gone on for {SAFE_AGE.days} days")
        return Judged(find, Verdict.UNKNOWN)
    if standing.status is AttemptStatus.RUNNING:
        return Judged(find, Verdict.LIVE)
    if standing.status is not AttemptStatus.SUCCESS:
        return Judged(find, Verdict.LEFT_OVER, f"its attempt {_ENDED[standing.status]}")
    if isinstance(find, Unfinished):
        return Judged(find, Verdict.LEFT_OVER, "its attempt is over")
    if standing.current_id not in (None, owner):
        return Judged(find, Verdict.LEFT_OVER, _REPLACED)
    return Judged(find, Verdict.STANDING)


def _is_forgotten(find: Unfinished, now: datetime) -> bool:
    """Whether parts without an attempt are ours, and so old that their writer must be dead."""
    is_ours = is_partial(find.key.rpartition("/")[2]) or find.key == upload_source_key(attempt_of(find.key) or "none")
    return is_ours and now - find.since > SAFE_AGE


def _upload_keys(replaced: Sequence[Find], standings: Mapping[str, Standing], history: History) -> set[str]:
    """The keys of those uploads that outputs of replaced successes, or of other attempts at their jobs, became.

    And of what was made beside them.
    """
    found: set[str] = set()
    by_attempt: dict[str, set[str]] = {}
    for find in replaced:
        by_attempt.setdefault(attempt_of(find.key) or "", set()).add(find.key)
    for attempt_id, made in by_attempt.items():
        made |= {str(output["key"]) for output in outputs_of(history.attempts.get(attempt_id).result)}
        origins = [result_origin(standings[attempt_id].job_id or "", key.rpartition("/")[2]) for key in sorted(made)]
        keys = {upload.storage_key for upload in history.uploads.known(origins).values()}
        # What was made beside an upload, such as its subtitles, belongs to it.
        found |= keys | (made if keys & made else set())
    return found
