"""Does the same work on many items, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, beat_s: float, stop: Callable[[], None]
) -> Generator[Result | None]:
    """Yield the results of `work` on `items` in the order they finish; None after each `beat_s` seconds without one.

    An exception of `work` is raised here. On any exception, and when the generator is closed or interrupted, `stop` is
    called, and the generator ends when the work under way has ended. Use it with `contextlib.closing`.
    """
    results: SimpleQueue[Result | BaseException] = SimpleQueue()

    def run(item: Item) -> None:
        try:
            results.put(work(item))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for it
            results.put(error)

    waiting, under_way = iter(items), 0
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                # Submit a few items ahead, so that no thread idles; not all, because there may be millions.
                while under_way < 2 * threads and (item := next(waiting, _NO_ITEM)) is not _NO_ITEM:
                    pool.submit(run, item)  # pyright: ignore[reportArgumentType]  # the sentinel is ruled out
                    under_way += 1
                if not under_way:
                    return
                try:
                    result = results.get(timeout=beat_s)
                except Empty:
                    yield None
                    continue
                under_way -= 1
                if isinstance(result, BaseException):
                    raise result
                yield result
        except BaseException:
            stop()
            pool.shutdown(cancel_futures=True)
            raise


_NO_ITEM = object()
