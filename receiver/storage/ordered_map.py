"""Many slow calls at a time, such as reads of a storage, with their results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
DEFAULT_THREADS = 16
DEFAULT_WINDOW = 64


def ordered_map(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    threads: int = DEFAULT_THREADS,
    window: int = DEFAULT_WINDOW,
) -> Iterator[R]:
    """`function` of each item, called in threads; the results keep the order of the items.

    `items` is iterated in the consumer's thread, at most `window` items ahead of it. What a call
    raises is raised in its place; calls that have not begun by then are dropped.
    """
    running = deque[Future[R]]()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                if len(running) >= window:
                    yield running.popleft().result()
                running.append(pool.submit(function, item))

            while running:
                yield running.popleft().result()
        finally:
            for call in running:
                call.cancel()
