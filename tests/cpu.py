"""What work costs, whatever else the machine and this process do meanwhile."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def cpu_seconds(work: Callable[[], object]) -> float:
    """The CPU time that this thread spends on it.

    Other threads do not count, and neither does the collector of garbage: with the objects of thousands of tests in
    memory, it takes longer than the work.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        began = time.thread_time()
        work()
        return time.thread_time() - began
    finally:
        if was_on:
            gc.enable()
