"""Thirty short talks with subtitles inside of them, and a site that serves them and can stop in the middle of one."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from mediajobs_dagster.media.tools import Tools
from tests.ingest.site import MP4, Site, running_site
from tests.services.server import Exchange, head

TOPICS = (
    *("amber", "bamboo", "basalt", "bees", "bridges", "bronze", "canals", "chalk", "clouds", "comets", "coral"),
    *("cotton", "dunes", "eagles", "ferns", "geysers", "glaciers", "granite", "harbours", "honey", "kites", "lanterns"),
    *("lichens", "magnets", "mosses", "otters", "pearls", "rivers", "sundials", "volcanoes"),
)
FILMED = TOPICS[::5]
"""The talks with a picture, for which a proxy and a thumbnail are made too. Many more of these would take long."""
_SENTENCES = (
    "Today we talk about {0}, because {0} are misunderstood by almost everybody.",
    "The study of {0} began long before anybody had written a book.",
    "Nobody who has measured {0} believes the old story any more.",
    "There are three reasons why {0} matter to the people who live nearby.",
    "The first reason is that {0} change slowly, while the weather changes quickly.",
    "The second reason is that {0} can be counted, and what is counted can be compared.",
    "The third reason is the price of {0}, which doubled within a century.",
    "So remember that {0} reward whoever looks at them with patience.",
)
_SENTENCE_S = 0.5
_DRIP_S = 0.5


@dataclass
class TalkSite:
    """A site with talks; it serves one of them so slowly, the first time, that it never comes to its end."""

    site: Site
    slow: str
    """The topic of that one."""
    begun: Event = field(default_factory=Event)
    """Set when half of it is sent."""

    @property
    def addresses(self) -> list[str]:
        """Of all talks."""
        return [self.address_of(topic) for topic in TOPICS]

    def address_of(self, topic: str) -> str:
        """Of a talk."""
        return f"{self.site.url}/{topic}.mp4"

    def asked(self, topic: str) -> int:
        """How often a talk was asked for."""
        return len(self.site.asked(f"/{topic}.mp4"))


@contextmanager
def running_talks(contents: Mapping[str, bytes], slow: str) -> Generator[TalkSite]:
    """The site, with these files by topic."""
    with running_site() as site:
        talks = TalkSite(site, slow)

        def serve_slowly(exchange: Exchange) -> None:
            content = contents[slow]
            if talks.begun.is_set():
                exchange.answer(content, headers=MP4)
                return
            half = len(content) // 2
            exchange.send(head(200, {"Content-Length": str(len(content)), **MP4}) + content[:half])
            exchange.is_last = True
            talks.begun.set()
            # A byte now and then: silence would end the call.
            with suppress(OSError):
                for number in range(half, len(content) - 1):
                    if exchange.over.wait(_DRIP_S):
                        return
                    exchange.send(content[number : number + 1])

        for topic, content in contents.items():
            site.has(f"/{topic}.mp4", content)
        site.does(f"/{slow}.mp4", serve_slowly)
        yield talks


def make_talks(folder: Path, tools: Tools) -> dict[str, bytes]:
    """A small file for each topic, with what is said in it as text inside of the file; some have a picture."""
    filmed, heard, lasts = folder / "filmed.mp4", folder / "heard.mp4", len(_SENTENCES) * _SENTENCE_S
    card = [
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=size=64x36:rate=5:duration={lasts}",
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv420p",
    ]
    _run(tools, *card, str(filmed))
    _run(tools, "-f", "lavfi", "-i", f"sine=sample_rate=16000:duration={lasts}", "-c:a", "aac", str(heard))
    made: dict[str, bytes] = {}
    for topic in TOPICS:
        said, talk = folder / f"{topic}.srt", folder / f"{topic}.mp4"
        said.write_text(_subrip(topic))
        both = ["-i", str(filmed if topic in FILMED else heard), "-i", str(said), "-map", "0", "-map", "1"]
        _run(tools, *both, "-c", "copy", "-c:s", "mov_text", "-metadata:s:s:0", "language=eng", str(talk))
        made[topic] = talk.read_bytes()
    return made


def _subrip(topic: str) -> str:
    cues: list[str] = []
    for number, sentence in enumerate(_SENTENCES):
        begin, end = (_moment(each * _SENTENCE_S) for each in (number, number + 1))
        cues.append(f"{number + 1}\n{begin} --> {end}\n{sentence.format(topic)}\n")
    return "\n".join(cues)


def _moment(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(seconds)) + f",{round(seconds % 1 * 1000):03}"


def _run(tools: Tools, *arguments: str) -> None:
    subprocess.run([tools.ffmpeg, "-nostdin", "-v", "error", *arguments, "-y"], check=True)
