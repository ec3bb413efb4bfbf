"""Which video is of which event: each pair gets a score, with its reasons in words. Pure.

A pair is compared by title, participants, date, duration and channel. What is not known on either side is not judged.
The score is the mean of what was judged, by the weights of the settings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mediajobs_dagster.job_types.video_discovery.words import dates, plain, words
from mediajobs_dagster.models import Event, MatchReason, Video, VideoMatch
from mediajobs_dagster.settings import Settings

_DAY = timedelta(days=1)
_EARLY = timedelta(hours=3)
"""A video may be published so long before its event begins: a live stream is, when it is announced."""
_USUAL = timedelta(hours=3)
"""How long an event lasts whose end is not known."""
_PART_OF_NAME = 0.8
"""How well the last word of a name stands for all of it: Lakers for Los Angeles Lakers."""
_NAMED = 5


@dataclass(frozen=True)
class Rules:
    """What counts in a match, and how much of it is enough."""

    weights: dict[str, float]
    threshold: float
    lead: float
    """How much better than the second best a match has to be."""
    days: float
    """How long after an event videos of it are published."""
    duration_s: float = 0.0
    """The length that videos have; 0: that of the event."""
    channels: frozenset[str] = frozenset()
    """Ids and names of the channels of the settings, in plain words."""

    @classmethod
    def of(cls, settings: Settings, channels: Iterable[str]) -> Rules:
        """The rules of the settings. `channels` are ids and names of their channels."""
        named = (each.partition("=") for each in settings.match_weights)
        return cls(
            weights={name: float(weight) for name, _, weight in named},
            threshold=settings.match_threshold,
            lead=settings.match_lead,
            days=settings.discovery_days,
            duration_s=settings.match_duration_s,
            channels=frozenset(filter(None, map(plain, channels))),
        )


@dataclass(frozen=True)
class Judged:
    """How well one feature fits."""

    score: float
    said: str


def match(video: Video, event: Event, rules: Rules, *, now: datetime) -> VideoMatch | None:
    """How well a video fits an event; None if it does not come into question: nothing in its title says so."""
    title, participants = _title(video, event), _participants(video, event)
    if not (title.score or (participants and participants.score)):
        return None
    found = {
        "title": title,
        "participants": participants,
        "date": _date(video, event, rules),
        "duration": _duration(video, event, rules),
        "channel": _channel(video, event, rules),
    }
    reasons = tuple(
        MatchReason(feature=name, score=round(each.score, 3), weight=rules.weights[name], said=each.said)
        for name, each in found.items()
        if each and rules.weights.get(name)
    )
    whole = sum(reason.weight for reason in reasons)
    score = sum(reason.weight * reason.score for reason in reasons) / whole if whole else 0.0
    return VideoMatch(video_id=video.id, event_id=event.id, score=round(score, 4), reasons=reasons, scored_at=now)


def clear_matches(matches: Sequence[VideoMatch], rules: Rules) -> list[VideoMatch]:
    """Those that reach the threshold and are clearly ahead: of every other video for the event, and the other way."""
    of_event, of_video = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for each in matches:
        of_event[each.event_id].append(each.score)
        of_video[each.video_id].append(each.score)

    def is_ahead(score: float, scores: list[float]) -> bool:
        best, *others = sorted(scores, reverse=True)
        # Not by the last digit of a float: 0.9 - 0.8 is less than 0.1.
        return score == best and (not others or best - others[0] >= rules.lead - 1e-9)

    return [
        each
        for each in matches
        if each.score >= rules.threshold
        and is_ahead(each.score, of_event[each.event_id])
        and is_ahead(each.score, of_video[each.video_id])
    ]


# --- the features ----------------------------------------------------------------------------------------------------


def _title(video: Video, event: Event) -> Judged:
    wanted, there = words(event.title), words(video.title)
    both = wanted & there
    if not both:
        return Judged(0.0, "no word of the event's title is in the video's")
    named = ", ".join(sorted(both)[:_NAMED])
    return Judged(len(both) / len(wanted), f"{len(both)} of {len(wanted)} words of the title: {named}")


def _participants(video: Video, event: Event) -> Judged | None:
    names = [name for name in event.participants if words(name)]
    if not names:
        return None
    title, there = f" {plain(video.title)} ", words(video.title)
    scores = {name: _named(name, title, there) for name in names}
    named, missing = [name for name in names if scores[name]], [name for name in names if not scores[name]]
    said = f"{', '.join(named[:_NAMED])} named" if named else "none of the participants is named"
    said += f", {', '.join(missing[:_NAMED])} not" if named and missing else ""
    # Squared: a video of one of two teams is likely to be of another game of theirs.
    return Judged((sum(scores.values()) / len(names)) * len(named) / len(names), said)


def _named(name: str, title: str, there: frozenset[str]) -> float:
    wanted = words(name)
    if wanted <= there:
        return 1.0
    last = plain(name).split()[-1]
    return _PART_OF_NAME if len(last) > 2 and f" {last} " in title else 0.0


def _date(video: Video, event: Event, rules: Rules) -> Judged | None:
    end = event.ends_at or event.starts_at + _USUAL
    if told := dates(video.title):
        days = {(event.starts_at + offset).date() for offset in (-_DAY / 2, timedelta(0), _DAY / 2)}
        day = min(told).isoformat()
        if told & (days | {end.date()}):
            return Judged(1.0, f"the title has the day: {day}")
        return Judged(0.0, f"the title has another day: {day}")
    if video.published_at is None:
        return None
    if video.published_at < event.starts_at - _EARLY:
        early = event.starts_at - video.published_at
        return Judged(max(0.0, 1 - early / _DAY) / 2, f"published {_span(early)} before the beginning")
    late = video.published_at - end
    if late <= _DAY:
        return Judged(1.0, f"published {_span(late)} after the end" if late > timedelta(0) else "published meanwhile")
    share = 1 - (late - _DAY) / timedelta(days=rules.days)
    return Judged(max(0.0, share), f"published {_span(late)} after the end")


def _duration(video: Video, event: Event, rules: Rules) -> Judged | None:
    length = (event.ends_at - event.starts_at).total_seconds() if event.ends_at and not event.is_all_day else 0.0
    wanted = rules.duration_s or length
    if not wanted or video.duration_seconds is None:
        return None
    ratio = video.duration_seconds / wanted
    score = min(ratio / 0.5, 1.0) if ratio < 1 else min(1.0, 1.5 / ratio)
    return Judged(score, f"{video.duration_seconds / 60:.0f} min long, {wanted / 60:.0f} min expected")


def _channel(video: Video, event: Event, rules: Rules) -> Judged | None:
    name = plain(video.channel or "")
    if not name and not video.channel_id:
        return None
    if rules.channels & {name, plain(video.channel_id or "")}:
        return Judged(1.0, f"from {video.channel or video.channel_id}, a channel of the settings")
    if owner := next((each for each in event.participants if words(each) and words(each) <= words(name)), None):
        return Judged(1.0, f"from {video.channel}, a channel of {owner}")
    return Judged(0.0, f"from {video.channel or video.channel_id}, neither of the settings nor a participant's")


def _span(time: timedelta) -> str:
    hours = abs(time) / timedelta(hours=1)
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
