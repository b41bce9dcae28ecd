"""Values in groups: a call for each would take longer than its work."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Value = TypeVar("Value")


def by_size(
    values: Iterable[Value],
    size_of: Callable[[Value], int],
    most_size: int,
    most_values: int,
) -> Iterator[list[Value]]:
    """Lists of values, each closed as soon as it is large or long enough.

    Args:
        values: The values, in order.
        size_of: The size of one.
        most_size: The size at which a list is closed.
        most_values: The number of values at which it is.

    Yields:
        Lists, none of them empty.

    Example:
    >>> list(by_size(["a", "bcd", "", "e"], len, 3, 9))
    [['a', 'bcd'], ['', 'e']]
    """
    group: list[Value] = []
    size = 0
    for value in values:
        group.append(value)
        size += size_of(value)
        if size >= most_size or len(group) >= most_values:
            yield group
            group, size = [], 0
    if group:
        yield group
