"""Kills and freezes processes of an installation at random."""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.drill.site import Site

PAUSE_S = (0.3, 2.5)
"""Between two strikes."""
FREEZE_S = (0.5, 12.0)
"""From shorter than a heartbeat to longer than two leases."""
DATABASE = "database"
WEIGHTS = {"run": 6, "ffmpeg": 6, "worker": 2, "daemon": 1, "code-server": 1, "supervisor": 1, DATABASE: 1}
"""How often each part is struck at, beside the others. One that is not there is missed, so that the parts that start
the others have the time to do so."""
LOCKED_S = (0.5, 4.0)
"""How long the database is taken away, if it is a file."""
KILLED = 0.6
"""The share of strikes that kill; the others freeze."""


@dataclass
class Striker:
    """Strikes at a site."""

    site: Site
    chance: random.Random
    struck: Counter[str] = field(default_factory=Counter[str])
    """How often, by kind of strike and part."""
    _frozen: list[tuple[threading.Timer, psutil.Process]] = field(
        default_factory=list[tuple[threading.Timer, psutil.Process]]
    )

    def strike(self) -> None:
        """Pick a process and hit it."""
        victims = self.site.victims()
        kinds = [*victims, DATABASE]
        (kind,) = self.chance.choices(kinds, [WEIGHTS[each] for each in kinds])
        if kind == DATABASE:
            self.site.sever(self.chance.uniform(*LOCKED_S))
            self.struck["severed database"] += 1
        elif victims[kind]:
            self._hit(kind, self.chance.choice(victims[kind]))

    def _hit(self, kind: str, victim: psutil.Process) -> None:
        with suppress(psutil.NoSuchProcess):
            if self.chance.random() < KILLED:
                victim.send_signal(signal.SIGKILL)
                self.struck[f"killed {kind}"] += 1
            else:
                victim.send_signal(signal.SIGSTOP)
                # By a thread: one that is frozen in the middle of a write holds up whoever else writes, this one too.
                timer = threading.Timer(self.chance.uniform(*FREEZE_S), _go_on, (victim,))
                timer.daemon = True
                timer.start()
                self._frozen.append((timer, victim))
                self.struck[f"froze {kind}"] += 1

    def thaw(self) -> None:
        """Let all go on that are still frozen."""
        for timer, victim in self._frozen:
            timer.cancel()
            _go_on(victim)
        self._frozen.clear()

    def pause(self) -> float:
        """Seconds until the next strike."""
        return self.chance.uniform(*PAUSE_S)


def _go_on(victim: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        victim.send_signal(signal.SIGCONT)
