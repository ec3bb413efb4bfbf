"""Loudness after EBU R 128: measured over the whole mix first, then put right by one gain, so that nothing pumps.

The measuring command writes what ffmpeg's `ebur128` and `silencedetect` say, frame by frame, into files in scratch;
this module reads them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

SILENT_LUFS = -69.0
"""`ebur128` says -70 of what never passes its absolute gate."""
_MOST_GAIN_DB = 30.0
"""More would only lift the noise of a recording that is nearly silent."""

UNASKED_PEAK_DB = -1.0
"""Where the limiter stands when nothing is said of loudness: it only keeps the sum of the tracks from clipping."""

MEASURING_LOUDNESS = "ebur128=metadata=1:framelog=quiet"
MEASURING = "ebur128=peak=true:metadata=1:framelog=quiet"
LISTENING = "silencedetect=noise=-45dB:d=0.1"


@dataclass(frozen=True)
class Measured:
    """What was measured of the mix before the render."""

    loudness: float = -math.inf
    """Integrated loudness, LUFS; minus infinity: nothing is heard."""
    true_peak: float = -math.inf
    """Highest true peak, dBTP."""
    speech_starts: tuple[Fraction, ...] = ()
    """When somebody begins to speak, after silence, seconds."""

    def gain_to(self, target: float) -> float:
        """Decibels that bring the mix to `target` LUFS; silence stays as it is."""
        if self.loudness < SILENT_LUFS:
            return 0.0
        return min(target - self.loudness, _MOST_GAIN_DB)


def printed_to(file: str) -> str:
    """The filter that writes what is said of each frame to `file` in scratch."""
    return f"ametadata=mode=print:file={file}"


def read_loudness(file: Path) -> tuple[float, float]:
    """Integrated loudness (LUFS) and true peak (dBTP) that `MEASURING` came to; no peak: minus infinity."""
    text = file.read_text() if file.exists() else ""
    integrated = re.findall(r"lavfi\.r128\.I=(\S+)", text)
    peaks = re.findall(r"lavfi\.r128\.true_peaks_ch\d+=(\S+)", text)
    return _number(integrated[-1:]), max((_decibels(peak) for peak in set(peaks)), default=-math.inf)


def read_speech_starts(file: Path) -> tuple[Fraction, ...]:
    """The moments at which `LISTENING` heard a silence end; 0 where it began without one. None before it listened."""
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
