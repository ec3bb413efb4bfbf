"""Names of files and folders that are made of what people call things."""

from __future__ import annotations

import re
import unicodedata

MOST = 48
"""The longest slug, characters."""
_WITHOUT_MARKS = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
)
"""Letters of which no mark can be taken off."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def slug(text: str, otherwise: str) -> str:
    """`text` in at most MOST letters, digits, `_` and `-` of ASCII; `otherwise` if nothing of it can be kept.

    Marks are taken off letters (é is e). A text of another script has none of these letters.
    """
    # Enough for every slug, however long the text is.
    decomposed = unicodedata.normalize("NFKD", text[: MOST * 8].translate(_WITHOUT_MARKS))
    plain = "".join(each for each in decomposed if not unicodedata.combining(each))
    words = _UNSAFE.sub("_", plain.replace("'", "").replace("’", ""))
    joined = re.sub(r"_+", "_", words).strip("_-")[:MOST].strip("_-")
    return joined if re.search("[A-Za-z0-9]", joined) else otherwise
