"""Where the time of an attempt went: the parts of its ledger side by side, and what that says in a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from mediajobs_dagster.attempts.manifest import Manifest, TimeLedger
from mediajobs_dagster.console.pages import words

_NAMES = {
    "download_ms": "fetch",
    "probe_ms": "probe",
    "plan_ms": "plan",
    "prepare_ms": "prepare",
    "service_ms": "services",
    "ffmpeg_ms": "ffmpeg",
    "verify_ms": "verify",
    "upload_ms": "publish",
    "other_ms": "rest",
}
_COLOURS = dict(zip(_NAMES, (3, 8, 9, 4, 5, 2, 7, 6, 1), strict=True))
_BUSY = 0.6
"""The share of the granted cores from which on ffmpeg is said to be limited by them."""
_MOST = 0.5
_SHORT_MS = 1000


@dataclass(frozen=True)
class Part:
    """One part of a bar."""

    name: str
    milliseconds: int
    start: float
    """Percent of the width."""
    width: float
    colour: int


def parts_of(ledger: TimeLedger) -> list[Part]:
    """The parts that took any time, in the order of an attempt. The time in the queue is not among them."""
    taken = {name: spent for name in _NAMES if (spent := int(getattr(ledger, name)))}
    whole = max(1, sum(taken.values()))
    found: list[Part] = []
    start = 0
    for name, spent in taken.items():
        found.append(Part(_NAMES[name], spent, 100 * start / whole, 100 * spent / whole, _COLOURS[name]))
        start += spent
    return found


def verdict(manifest: Manifest) -> str:
    """What limited an attempt, in a sentence."""
    ledger, whole = manifest.time_ledger, max(1, manifest.duration_ms)
    shares = {
        "ffmpeg": ledger.ffmpeg_ms + ledger.probe_ms + ledger.verify_ms,
        "storage": ledger.download_ms + ledger.upload_ms,
        "services": ledger.service_ms,
        "own": ledger.prepare_ms,
        "orchestration": ledger.plan_ms + ledger.other_ms,
    }
    largest = max(shares, key=lambda name: shares[name])
    share = f"{words.percent(shares[largest] / whole)} of {words.duration(manifest.duration_ms)}"
    match largest:
        case "ffmpeg":
            said = _of_ffmpeg(manifest, share)
        case "storage":
            said = f"Storage-bound: {share} went into reading and writing objects."
        case "services":
            said = f"Services: {share} went into answers of other services."
        case "own":
            longest = max(manifest.stages, key=lambda stage: stage.duration_ms).name
            said = f"Preparation: {share} went into work besides ffmpeg, most of it in the stage {longest}."
        case _:
            said = f"Orchestration: {share} went into planning and what lies between the stages."
    queue_ms = manifest.queue_ms
    if queue_ms > max(whole, _SHORT_MS):
        return f"Waiting: {words.duration(queue_ms)} in the queue, longer than the attempt itself. Then: {said}"
    return said


def _of_ffmpeg(manifest: Manifest, share: str) -> str:
    used, cores = manifest.metrics.cpu_pct_avg / 100, manifest.metrics.host.cpu_cores
    if not used:
        return f"Media work: {share} went into ffmpeg and ffprobe."
    of_cores = f"{used:.1f} of {cores:g} cores" if cores else f"{used:.1f} cores"
    if cores and used / cores >= _BUSY:
        return f"CPU-bound: {share} went into ffmpeg, which kept {of_cores} busy."
    if used >= _MOST:
        return f"Media work: {share} went into ffmpeg, which used {of_cores}."
    return f"Waiting for input: {share} went into ffmpeg, but it used only {of_cores}."
