"""A voice that reads a text aloud: eSpeak NG as a library, for clips to try things on (extra `demo`)."""

from __future__ import annotations

import ctypes
import threading
import wave
from pathlib import Path
from typing import Any

from mediajobs_dagster.errors import ExtraMissingError, InternalError

_SYNCHRONOUS = 2
"""espeak_AUDIO_OUTPUT: samples go to the callback, while `espeak_Synth` has not returned."""
_DONT_EXIT = 0x8000
"""An option of `espeak_Initialize`: a fault is returned, and does not end the process."""
_UTF8 = 1
_RATE, _VOLUME = 1, 2
"""Parameters of `espeak_SetParameter`."""
_ONE_AT_A_TIME = threading.Lock()
"""The library keeps its state for the whole process."""


def speak(text: str, path: Path, *, voice: str = "en-us", words_a_minute: int = 150) -> None:
    """Read `text` aloud into the file `path`: WAV, mono, 16 bit, usually 22,050 Hz.

    Raises ExtraMissingError when the extra `demo` is not installed.
    """
    try:
        import espeakng_loader  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise ExtraMissingError.of("A spoken clip needs", "demo") from error
    with _ONE_AT_A_TIME:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT)
        if rate <= 0:
            raise InternalError(f"eSpeak NG does not start with its data in {data.decode()}.")
        try:
            _check(library.espeak_SetVoiceByName(voice.encode()), f"knows no voice {voice}")
            library.espeak_SetParameter(_RATE, words_a_minute, 0)
            samples = _samples(library, text)
        finally:
            library.espeak_Terminate()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples)


def _samples(library: Any, text: str) -> bytes:
    spoken = bytearray()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def take(wav: Any, count: int, _events: int | None) -> int:
        if wav and count > 0:
            spoken.extend(ctypes.string_at(wav, 2 * count))
        return 0

    library.espeak_SetSynthCallback(take)
    encoded = text.encode()
    # text, its size, where to begin (position, kind, end), flags, and two pointers that are not used
    size, unused = ctypes.c_size_t(len(encoded) + 1), ctypes.c_void_p()
    _check(library.espeak_Synth(encoded, size, 0, 1, 0, _UTF8, unused, unused), "cannot read the text")
    _check(library.espeak_Synchronize(), "did not come to an end")
    return bytes(spoken)


def _check(answer: int, what: str) -> None:
    if answer != 0:
        raise InternalError(f"eSpeak NG {what} (error {answer}).")
