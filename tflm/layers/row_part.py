"""Which part of a batch's rows is worked on, where cores take parts of them."""

import contextlib
import contextvars
from collections.abc import Iterator

_index: contextvars.ContextVar[int | None] = contextvars.ContextVar(
    "_index", default=None
)


@contextlib.contextmanager
def working_on(part: int) -> Iterator[None]:
    """Inside of it, `index` is that of this part."""
    token = _index.set(part)
    try:
        yield
    finally:
        _index.reset(token)


def index() -> int:
    """The part that is worked on; 0 where the rows are in one.

    >>> with working_on(3):
    ...     index()
    3
    >>> index()
    0
    """
    return _index.get() or 0


def is_whole() -> bool:
    """Whether the rows are in one.

    >>> with working_on(0):
    ...     is_whole()
    False
    >>> is_whole()
    True
    """
    return _index.get() is None
