"""What the processor of this machine can do."""

import functools
from pathlib import Path


def has(feature: str) -> bool:
    """Whether the processor has a feature, by the name that Linux gives it.

    Elsewhere than on Linux nothing is known, which counts as no.

    Args:
        feature: Such as "amx_bf16" or "avx512_bf16".

    Example:
    >>> has("no such thing")
    False
    """
    return feature in _features()


@functools.cache
def _features() -> frozenset[str]:
    try:
        description = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return frozenset()
    return frozenset(description.split())
