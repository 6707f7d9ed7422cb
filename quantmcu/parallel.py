"""Work on several items at a time, for functions that spend their time outside of Python (NumPy, ONNX Runtime)."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_THREADS = 4
"""Beyond, memory grows (each thread works on a sample of its own) while Python's share of the work leaves no gain."""


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`function(item)` for each item, in their order, computed by threads a few items ahead of what is taken."""
    threads = min(_available_cores(), _MOST_THREADS)
    if threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """NumPy's linear algebra in one thread: many small matrices, of which others may be worked on at the same time.

    OpenBLAS's threads wait for each other by spinning: factorizing matrices of some hundred rows takes them four times
    the processor time of one, and no less time where another process works beside them.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
