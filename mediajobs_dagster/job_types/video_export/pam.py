"""Pictures as PAM files, which every ffmpeg reads (Netpbm's format P7)."""

from __future__ import annotations

from PIL import Image


def pam(picture: Image.Image) -> bytes:
    """An RGBA picture as the content of a PAM file; its alpha is straight, as ffmpeg's `overlay` takes it."""
    if picture.mode != "RGBA":
        raise ValueError(f"a drawing is RGBA, not {picture.mode}")
    header = f"P7\nWIDTH {picture.width}\nHEIGHT {picture.height}\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    return header.encode() + picture.tobytes()
