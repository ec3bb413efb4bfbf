"""Loudness by EBU R 128: measured over the whole mix first, then corrected by one gain, so that nothing pumps.

The measuring command writes the values of ffmpeg's `ebur128` and `silencedetect` into files in scratch, frame by frame.
This module reads them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

SILENT_LUFS = -69.0
"""Below this, a mix is silent: `ebur128` reports -70 LUFS for what never passes its absolute gate."""
_MOST_GAIN_DB = 30.0
"""More would only amplify the noise of a nearly silent recording."""

UNASKED_PEAK_DB = -1.0
"""Ceiling of the limiter without a loudness target, dB: it only keeps the sum of the tracks from clipping."""

MEASURING_LOUDNESS = "ebur128=metadata=1:framelog=quiet"
MEASURING = "ebur128=peak=true:metadata=1:framelog=quiet"
LISTENING = "silencedetect=noise=-45dB:d=0.1"


@dataclass(frozen=True)
class Measured:
    """What was measured of the mix before the render."""

    loudness: float = -math.inf
    """Integrated loudness, LUFS; minus infinity: silence."""
    true_peak: float = -math.inf
    """Highest true peak, dBTP."""
    speech_starts: tuple[Fraction, ...] = ()
    """When speech begins after silence, seconds."""

    def gain_to(self, target: float) -> float:
        """The gain that brings the mix to `target` LUFS, dB; 0 for silence."""
        if self.loudness < SILENT_LUFS:
            return 0.0
        return min(target - self.loudness, _MOST_GAIN_DB)


def printed_to(file: str) -> str:
    """The filter that writes the metadata of each frame to `file` in scratch."""
    return f"ametadata=mode=print:file={file}"


def read_loudness(file: Path) -> tuple[float, float]:
    """Integrated loudness (LUFS) and true peak (dBTP) that `MEASURING` wrote; without a peak, minus infinity."""
    text = file.read_text() if file.exists() else ""
    integrated = re.findall(r"lavfi\.r128\.I=(\S+)", text)
    peaks = re.findall(r"lavfi\.r128\.true_peaks_ch\d+=(\S+)", text)
    return _number(integrated[-1:]), max((_decibels(peak) for peak in set(peaks)), default=-math.inf)


def read_speech_starts(file: Path) -> tuple[Fraction, ...]:
    """The times at which `LISTENING` found a silence to end, seconds; 0 if the sound begins without silence.

    Empty if there is no file yet.
    """
    if not file.exists():
        return ()
    text = file.read_text()
    first = re.search(r"lavfi\.silence_start=(\S+)", text)
    ends = [Fraction(found) for found in re.findall(r"lavfi\.silence_end=(\S+)", text)]
    begins_silent = first is not None and float(first[1]) < 0.05
    return tuple(ends if begins_silent else [Fraction(0), *ends])


def _number(found: list[str]) -> float:
    return float(found[0]) if found else -math.inf


def _decibels(amplitude: str) -> float:
    value = float(amplitude)
    return 20 * math.log10(value) if value > 0 else -math.inf
