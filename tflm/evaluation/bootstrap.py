"""How far a score would move had other text been held out: the bootstrap.

Axes: K parts of a text, R resamples.
"""

import numpy as np

# Fewer parts than these say too little of how parts differ.
FEWEST = 10

_MOST_DRAWN = 2**20  # parts drawn at once


def interval(
    numerators: np.ndarray,
    denominators: np.ndarray,
    share: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """The percentile bootstrap's interval of a ratio of two sums.

    As many parts are drawn with replacement as there are, and the ratio of
    their sums is taken; of all such ratios the middle `share` is the interval.
    A text's parts stand for the parts that it might have had instead, so that
    the interval knows nothing of how a model differs from one training to the
    next. Equal arguments give equal intervals.

    Args:
        numerators: float [K], such as each part's nats.
        denominators: float [K], such as each part's tokens.
        share: float in (0, 1). How often the interval shall hold what it is
            an interval of. Default 0.95.
        resamples: int. R. Default 2000.
        seed: int. Of the draws. Default 0.

    Returns:
        The lower and the upper bound; None if there are fewer than `FEWEST`
        parts, or if there is no finite ratio.

    Reference: Efron and Tibshirani, "An introduction to the bootstrap", 1993,
    chapter 13.

    Example:
    >>> low, high = interval(np.arange(100.0), np.ones(100))
    >>> bool(43 < low < 44.5 < 54.5 < high < 56)
    True
    """
    values = np.stack([numerators, denominators], axis=1).astype(np.float64)
    parts = len(values)
    if parts < FEWEST or not np.isfinite(values).all():
        return None
    random = np.random.default_rng(seed)
    at_once = max(_MOST_DRAWN // parts, 1)
    sums = []
    for first in range(0, resamples, at_once):
        rows = min(at_once, resamples - first)
        drawn = random.integers(parts, size=[rows, parts])  # [R,K]
        sums.append(values[drawn].sum(axis=1))  # [R,2]
    above, below = np.concatenate(sums).T
    if not below.all():
        return None
    tail = 50 * (1 - share)
    low, high = np.percentile(above / below, [tail, 100 - tail])
    return float(low), float(high)
