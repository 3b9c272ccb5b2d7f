"""Writers of one process at the same time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def run_at_once(work: Callable[[int], object], count: int) -> None:
    """Do work number 0, 1, … in as many threads, which begin together; the error of one is raised once all have ended."""
    start = threading.Barrier(count)

    def begin(number: int) -> None:
        start.wait()
        work(number)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(begin, range(count)))
