"""Turns the messages of ffmpeg and ffprobe into errors of the error tree. Pure: text and figures in, an error out.

The messages come from ffmpeg's and libav's sources. Tests cause the common failures with the real programs; messages of
other versions, and of failures that a test cannot cause, are saved in `tests/media/test_diagnosis.py`.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

from mediajobs_dagster import errors
from mediajobs_dagster.errors import Blame, MediaJobsError
from mediajobs_dagster.media.stderr import Faults

MAX_BAD_SHARE = 0.1
"""A file is corrupt if more than this share of its frames do not decode, and at least `MIN_BAD_FRAMES` of them."""
MIN_BAD_FRAMES = 5
"""Fewer bad frames are accepted: phone clips with one or two at a cut are common, and play well."""
_BAD_AFTER_SEEK = 8
MAX_MISSING_S = 0.5
"""An output may be this much shorter than expected, seconds: tracks seldom end at the same moment."""

_SOUND_PACKETS_PER_SECOND = 43.0  # AAC at 44.1 kHz; other codecs are within a factor of two
_CAUGHT_BY_FFMPEG = (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU)
"""ffmpeg ends itself after one of these, with exit code 255. Any other signal ends the process."""
OWN_CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGTRAP, signal.SIGILL, signal.SIGFPE, signal.SIGBUS)
"""ffmpeg may cause these itself, for lack of memory for example; its messages then say more than the signal."""


@dataclass(frozen=True)
class MemoryLimit:
    """The limit on a command's memory that it had come close to when it failed."""

    mb: int
    """MiB."""
    is_configured: bool
    """Whether an operator set it; if not, it was reckoned from the input."""


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    error: type[MediaJobsError]

    @classmethod
    def of(cls, pattern: str, error: type[MediaJobsError]) -> _Rule:
        return cls(re.compile(pattern, re.MULTILINE | re.IGNORECASE), error)


# The first rule that matches decides, so a cause comes before its consequences.
_RULES = (
    _Rule.of(r"No space left on device|Disk quota exceeded", errors.DiskFullError),
    _Rule.of(r"Cannot allocate memory|malloc of size \d+ failed|Out of memory", errors.OutOfMemoryError),
    _Rule.of(
        r"Format not on whitelist|Protocol '.*' not on whitelist|Not detecting m3u8/hls", errors.InputRefusedError
    ),
    _Rule.of(r"Picture size \d+x\d+ (is invalid|exceeds)|max_pixels", errors.InputTooLargeError),
    # A file without any container's signature is tried as MP4, and then misses its index too.
    _Rule.of(r"detected only with low score of 1\b", errors.InputNotMediaError),
    _Rule.of(r"DRM protected stream detected", errors.InputEncryptedError),
    _Rule.of(r"moov atom not found|partial file|File ended prematurely", errors.InputTruncatedError),
    _Rule.of(
        r"no decoder found for|Decoder .* not found|Unknown decoder|has no decoder"
        # Its only decoder for AV1 hands the work to hardware, which is not there.
        r"|Your platform doesn't supp+ort hardware accelerated \w+ decoding"
        # A container's feature that this ffmpeg was built without, such as the compressed index of a QuickTime file.
        r"|requires zlib support"
        r"|(Error opening input|^\[error\] [^\[\]]*): (Function not implemented|Not yet implemented)",
        errors.InputUnsupportedError,
    ),
    _Rule.of(
        r"Stream (map|specifier) '[^']*v[^']*'.*matches no streams|Failed to set value '\d+:v[^']*' for option 'map'"
        r"|Output file does not contain any stream",
        errors.InputNoVideoError,
    ),
    _Rule.of(r"Decode error rate .* exceeds maximum", errors.InputCorruptError),
    # What the headers say of a track fits no decoder.
    _Rule.of(
        r"Decoder requires channel layout|Invalid sample rate: |Error while opening decoder"
        r"|Could not open codec for input stream",
        errors.InputCorruptError,
    ),
    _Rule.of(
        r"(Error opening input|^\[error\] [^\[\]]*)"
        r": (Invalid data found|End of file|Operation not permitted|Numerical result out of range)",
        errors.InputNotMediaError,
    ),
    _Rule.of(r"Invalid data found when processing input", errors.InputCorruptError),
)

_REMOTE_RULES = (
    _Rule.of(r"HTTP error 40[13]|Server returned 40[13]", errors.StorageDeniedError),
    _Rule.of(r"HTTP error (404|410)|Server returned 404", errors.StorageMissingError),
    # A file that points past its own end: one that was cut off, or that lies about its offsets.
    _Rule.of(r"HTTP error 416", errors.InputCorruptError),
    _Rule.of(r"HTTP error 4\d\d|Server returned 4XX", errors.StorageError),
    _Rule.of(
        r"HTTP error 5\d\d|Server returned 5XX|Connection (refused|reset|timed out)|Operation timed out"
        r"|Failed to resolve hostname|Network is unreachable|No route to host|Stream ends prematurely",
        errors.StorageUnavailableError,
    ),
    # Without an answer of the server, a failed read is a fault of the network.
    _Rule.of(r"Error opening input.*(Input/output error|Broken pipe)", errors.StorageUnavailableError),
)


def diagnose(
    stderr: str,
    exit_code: int,
    *,
    input_is_remote: bool = False,
    oom_evidence: bool = False,
    limit: MemoryLimit | None = None,
) -> MediaJobsError:
    """The error that a failed run ended with.

    `stderr` is the end of its standard error, with levels; `exit_code` is negative for the signal that ended it;
    `oom_evidence` says that the kernel killed a process of this cgroup for lack of memory meanwhile; `limit` is the
    limit that its memory had come close to.
    """
    killed_by = _signal(stderr, exit_code)
    if killed_by is signal.SIGKILL and oom_evidence:
        return errors.OutOfMemoryError("ffmpeg was killed because the worker's cgroup ran out of memory. " + _GIVE_MORE)
    rules = (*_REMOTE_RULES, *_RULES) if input_is_remote else _RULES
    if killed_by is signal.SIGXFSZ:
        return errors.InputTooLongError(
            "What ffmpeg made of the input grew beyond MEDIAJOBS_MAX_OUTPUT_MB, and was stopped. Raise it if such "
            "outputs are intended."
        )
    complaints = "\n".join(_COMPLAINT.findall(stderr))
    for rule in rules if killed_by in (None, *OWN_CRASHES) else ():
        # The words of a file, such as its title, are printed too. They must not put the blame on others.
        match = rule.pattern.search(stderr if rule.error.blame is Blame.INPUT else complaints)
        if match and rule.error is errors.OutOfMemoryError and not oom_evidence:
            return _memory_fault(match.group(), limit)
        if match:
            return rule.error(f"{rule.error().message} (ffmpeg: {match.group()})")
    crash = killed_by if killed_by in OWN_CRASHES else None
    if crash and limit:
        return _memory_fault(f"ended by {crash.name}", limit)
    if crash:
        return errors.FfmpegCrashedError(f"ffmpeg crashed ({crash.name}). It said: {last_words(stderr)}")
    if killed_by is not None:
        return errors.FfmpegKilledError(
            f"ffmpeg was ended by {killed_by.name}, which mediajobs did not send. Look for who did: an operator, or "
            "the container's limits."
        )
    return errors.FfmpegFailedError(f"ffmpeg ended with exit code {exit_code}. It said: {last_words(stderr)}")


def diagnose_success(
    faults: Faults, *, out_seconds: float | None, expected_seconds: float | None, frames: int, sought: int = 0
) -> MediaJobsError | None:
    """The fault of the input that ffmpeg did not fail for, or None.

    ffmpeg exits with 0 on a file that is cut off or full of errors, and makes a shorter or a broken output of it. Cut
    off means: ffmpeg complained of missing bytes, and the output is shorter than expected by more than `MAX_MISSING_S`.
    A shorter output without such a complaint is not judged here. After a seek, the first packets may be parts of what
    began before; `sought` is how many inputs were opened behind their beginning.
    """
    if faults.cut_off and expected_seconds is not None:
        made = out_seconds or 0.0  # None: ffmpeg made nothing at all
        if expected_seconds - made > MAX_MISSING_S:
            return errors.InputTruncatedError(cut_off_text(expected_seconds, made))
    sounds = (out_seconds or 0.0) * _SOUND_PACKETS_PER_SECOND
    for bad, good, noun in ((faults.bad_pictures, frames, "frames"), (faults.bad_sounds, sounds, "packets of sound")):
        if bad >= MIN_BAD_FRAMES + sought * _BAD_AFTER_SEEK and bad > MAX_BAD_SHARE * good:
            return errors.InputCorruptError(
                f"{bad} {noun} of the input cannot be decoded properly (about {good:.0f} were made). Export it again "
                "from where it came, or upload another copy."
            )
    return None


def cut_off_text(declared: float, found: float) -> str:
    """What is said of an input that ends before the length that it declares, both in seconds."""
    return (
        f"The input declares {declared:.1f} s of media but ends after {found:.1f} s: its upload was cut off. Upload it "
        "again."
    )


def failed_allocation_mb(stderr: str) -> float | None:
    """The size of the allocation that ffmpeg says has failed, MiB; None if it does not say."""
    found = re.search(r"malloc of size (\d{1,18}) failed", stderr)
    return int(found[1]) / 2**20 if found else None


def _memory_fault(said: str, limit: MemoryLimit | None) -> MediaJobsError:
    """The error for an ffmpeg that got no memory. The machine is at fault only if there is evidence of it.

    Without any, the input is: a file of a few bytes can declare tables that no machine has room for.
    """
    if limit is None:
        return errors.InputTooLargeError(
            f"The input declares more data than memory can hold, and most likely more than it has (ffmpeg: {said}). "
            "Export it again from where it came."
        )
    if limit.is_configured:
        return errors.OutOfMemoryError(
            f"ffmpeg needed more than the {limit.mb} MiB that MEDIAJOBS_FFMPEG_MEMORY_MB, or a limit that the worker "
            f"was started under, grants it (ffmpeg: {said}). Raise it."
        )
    return errors.InputTooLargeError(
        f"ffmpeg needed more than the {limit.mb} MiB that an input of this size is granted on this machine (ffmpeg: "
        f"{said}). Use a smaller copy, or set MEDIAJOBS_FFMPEG_MEMORY_MB."
    )


def last_words(stderr: str) -> str:
    """The last line that says why: an error if there is one. Lines that only say that something failed do not count."""
    lines = [line for line in stderr.splitlines() if line.strip() and not _SAYS_NO_CAUSE.search(line)]
    faults = [line for line in lines if "[error]" in line or "[fatal]" in line]
    chosen = (faults or lines or ["nothing"])[-1]
    return _PREFIXES.sub("", chosen).strip()


_GIVE_MORE = "Give the worker more, or lower its concurrency."
_SAYS_NO_CAUSE = re.compile(
    r"Conversion failed!|Error opening (input|output) files?\b|Nothing was written into output|Terminating"
    r"|Task finished with error code"
)
_COMPLAINT = re.compile(r"^.*\[(?:warning|error|fatal|panic)\].*$", re.MULTILINE)
_ENDED_BY = re.compile(r"^\[info\] Exiting normally, received signal (\d{1,3})", re.MULTILINE)
_PREFIXES = re.compile(r"^(\[[^\]]*\] )+")


def _signal(stderr: str, exit_code: int) -> signal.Signals | None:
    if exit_code < 0:
        return signal.Signals(-exit_code) if -exit_code in signal.Signals.__members__.values() else signal.SIGKILL
    caught = _ENDED_BY.search(stderr)
    if caught and int(caught[1]) in _CAUGHT_BY_FFMPEG:
        return signal.Signals(int(caught[1]))
    return None
