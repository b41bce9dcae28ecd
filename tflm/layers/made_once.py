"""What is made of weights before they are used, once for several calls.

Where rows are worked on in parts, each part is a copy of the model in the
graph, and would round the same weights for itself.
"""

import contextlib
import contextvars
from collections.abc import Callable, Hashable, Iterator
from typing import Any

_kept: contextvars.ContextVar[dict[Hashable, Any] | None] = (
    contextvars.ContextVar("_kept", default=None)
)


@contextlib.contextmanager
def sharing() -> Iterator[None]:
    """Inside of it, `made` makes nothing twice.

    What is made belongs to the graph of the first call for it: all calls must
    be of one graph.
    """
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def made(name: Hashable, make: Callable[[], Any]) -> Any:
    """`make()`, or inside of `sharing` what that was before under this name.

    >>> with sharing():
    ...     made("list", list) is made("list", list)
    True
    >>> made("list", list) is made("list", list)
    False
    """
    kept = _kept.get()
    if kept is None:
        return make()
    if name not in kept:
        kept[name] = make()
    return kept[name]
