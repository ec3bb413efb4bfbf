"""Calendars for tests, made of lines."""

from __future__ import annotations


def calendar(*parts: str, head: str = "") -> bytes:
    """A feed of these events, each given by its lines; `head` comes before them."""
    blocks = "".join(f"BEGIN:VEVENT\nDTSTAMP:20260101T000000Z\n{part.strip()}\nEND:VEVENT\n" for part in parts)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{head}{blocks}END:VCALENDAR\n".replace("\n", "\r\n").encode()


def entry(uid: str, start: str = ":20260305T180000Z", *more: str) -> str:
    """The lines of one event; `start` comes after DTSTART."""
    return "\n".join((f"UID:{uid}", f"DTSTART{start}", f"SUMMARY:Event {uid}", *more))
