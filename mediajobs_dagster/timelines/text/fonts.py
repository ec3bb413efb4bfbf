"""Finds the font for each character: the family that was named, and a fallback for characters that it lacks.

Noto Sans and its scripts are part of the package, so that titles look the same on every machine. Families installed on
the machine are found by name; they are also the last resort for a character that no bundled face has.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Final

from PIL import features
from PIL.ImageFont import FreeTypeFont, Layout, truetype

from mediajobs_dagster.timelines.text.font_files import SUFFIXES, Characters, Face, characters_of, faces_of

FONT_FOLDERS: Final = (
    *("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    *("/Library/Fonts", "/System/Library/Fonts", "~/Library/Fonts"),
)
"""The font folders of Linux and macOS; `~` is the user's home."""

_DEFAULT = "Noto Sans"
_LAST = ("Noto Emoji", "Noto Sans Symbols")
_EMOJI = "Noto Emoji"
_LOADED = 128
"""Fonts kept open: one for each face, weight and size."""

Families = dict[str, list[Face]]
"""Faces by the case-folded name of their family."""


class UnknownFontError(ValueError):
    """There is no font family of that name."""

    def __init__(self, family: str, known: Sequence[str]) -> None:
        some = ", ".join(known[:12]) + (" …" if len(known) > 12 else "")
        super().__init__(f"There is no font family {family!r}. Install it, or use one of these: {some}.")


class Fonts:
    """The fonts of this machine, found and opened on first use. Not thread-safe.

    `folders` and their subfolders are searched for installed fonts. `shapes` says whether Pillow can shape text: join
    letters and place marks (with Raqm, whose HarfBuzz is part of Pillow, but whose FriBidi comes from the system).
    """

    def __init__(self, folders: Sequence[str | Path] = FONT_FOLDERS, *, shapes: bool | None = None) -> None:
        self.shapes = features.check("raqm") if shapes is None else shapes
        self._folders = tuple(Path(folder).expanduser() for folder in folders)
        self._characters: dict[Face, Characters] = {}
        self._resorts: dict[str, Face | None] = {}
        self._choices: dict[tuple[str, str, int, bool], Face] = {}
        self.load = lru_cache(maxsize=_LOADED)(partial(_load, layout=Layout.RAQM if self.shapes else Layout.BASIC))
        """A face at a weight and a size in pixels an em, ready to draw."""

    def face(self, family: str, weight: int, italic: bool) -> Face:
        """The family's face that is nearest to weight and slant. Raises UnknownFontError."""
        name = family.strip().casefold()
        faces = self._ours.get(name) or self._installed.get(name)
        if not faces:
            known = {
                face.family for families in (self._ours, self._installed) for face in families.values() for face in face
            }
            raise UnknownFontError(family, sorted(known))
        return nearest(faces, weight, italic)

    def face_for(self, grapheme: str, family: str, weight: int, italic: bool) -> Face:
        """The first face that can draw `grapheme`: of the named family, a bundled one, an installed one.

        If no face has all of the grapheme, the first face with its base character draws it. If there is none, the named
        family draws a box.
        """
        key = (grapheme, family, weight, italic)
        face = self._choices.get(key)
        if face is None:
            face = self._choices[key] = self._choose(*key)
        return face

    def _choose(self, grapheme: str, family: str, weight: int, italic: bool) -> Face:
        asked = self.face(family, weight, italic)
        drawn = [ord(character) for character in grapheme if not is_invisible(character)]
        if not drawn:
            return asked
        order = [asked, *(nearest(faces, weight, italic) for faces in self._fallbacks)]
        if "\ufe0f" in grapheme:  # this selector asks for the emoji form of a character
            order.insert(0, nearest(self._ours[_EMOJI.casefold()], weight, italic))
        for wanted in (drawn, drawn[:1]):
            for face in order:
                if all(code in self._has(face) for code in wanted):
                    return face
        return self._resort(grapheme, drawn, weight, italic) or asked

    def _resort(self, grapheme: str, drawn: list[int], weight: int, italic: bool) -> Face | None:
        if grapheme not in self._resorts:
            able = (
                faces
                for _, faces in sorted(self._installed.items())
                if any(all(code in self._has(face) for code in drawn) for face in faces)
            )
            self._resorts[grapheme] = next((nearest(faces, weight, italic) for faces in able), None)
        return self._resorts[grapheme]

    def _has(self, face: Face) -> Characters:
        characters = self._characters.get(face)
        if characters is None:
            characters = self._characters[face] = characters_of(face)
        return characters

    @cached_property
    def _ours(self) -> Families:
        return _families((Path(str(files("manimgx_fonts"))),))

    @cached_property
    def _installed(self) -> Families:
        return _families(self._folders)

    @cached_property
    def _fallbacks(self) -> list[list[Face]]:
        last = [name.casefold() for name in _LAST]
        middle = sorted(self._ours.keys() - {_DEFAULT.casefold(), *last})
        return [self._ours[name] for name in (_DEFAULT.casefold(), *middle, *last)]


def nearest(faces: Sequence[Face], weight: int, italic: bool) -> Face:
    """The nearest face: by width (normal is best), then slant, then weight."""
    return min(
        faces,
        key=lambda face: (
            abs(face.width - 5),
            face.italic != italic,
            abs(face.weight_for(weight) - weight),
            face.path,
            face.index,
        ),
    )


def is_invisible(character: str) -> bool:
    """Whether a character only changes how others are drawn: a joiner, a direction mark, a variation selector."""
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"


def _families(folders: Sequence[Path]) -> Families:
    families: Families = {}
    for path in _font_files(folders):
        for face in faces_of(path):
            # On macOS, families whose name begins with a dot are hidden; one of them has a box for every character.
            if not face.family.startswith("."):
                families.setdefault(face.family.casefold(), []).append(face)
    return families


def _font_files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def _load(face: Face, weight: int, size: float, *, layout: Layout) -> FreeTypeFont:
    font = truetype(face.path, size, index=face.index, layout_engine=layout)
    if face.axes:
        font.set_variation_by_axes(
            [face.weight_for(weight) if axis.tag == b"wght" else axis.default for axis in face.axes]
        )
    return font
