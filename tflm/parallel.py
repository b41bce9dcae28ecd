"""Work beside the work: both cores, the results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Value = TypeVar("Value")
Result = TypeVar("Result")

_THREADS = 2


def mapped(
    function: Callable[[Value], Result], values: Iterable[Value]
) -> Iterator[Result]:
    """The function's results for values, in order.

    Two values are worked on at once, while the caller uses the result before:
    for functions whose time passes in TensorFlow, which lets Python go on.

    Example:
    >>> list(mapped(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[Future[Result]] = deque()
        for value in values:
            waiting.append(pool.submit(function, value))
            if len(waiting) > _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
