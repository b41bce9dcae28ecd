"""The lengths to which documents are padded, for the least padding."""

import numpy as np

MOST = 8
# Lengths are told apart to a grain, so that the search stays small.
_GRAINS = 512


def bucket_bounds(lengths: np.ndarray, most: int = MOST) -> np.ndarray:
    """Chooses the bounds to which lengths are rounded up.

    Of all choices of at most `most` bounds, this one pads least (among
    multiples of a 512th of the longest length), by dynamic programming.

    Args:
        lengths: int [S], none of them below 1.
        most: int. Bounds at the most. Default 8.

    Returns:
        int64, ascending; the last one is the longest length.

    Example:
    >>> bucket_bounds(np.array([1, 2, 2, 9, 10, 10]), most=2)
    array([ 2, 10])
    """
    longest = int(lengths.max())
    grain = -(-longest // _GRAINS)
    grains = -(-lengths // grain)  # [S]
    counts = np.bincount(grains)  # of each number of grains
    below = np.cumsum(counts)  # lengths of at most so many grains
    size = len(counts)
    # cost[k][g]: the least positions for all lengths of up to g grains, padded
    # to k bounds of which g is the last.
    index = np.arange(size)
    cost = np.where(index > 0, below * index, 0).astype(np.float64)
    choices = []
    for _ in range(most - 1):
        # [g, h]: the bound before g is h.
        step = cost + (below[:, np.newaxis] - below) * index[:, np.newaxis]
        step[index[:, np.newaxis] < index] = np.inf
        choices.append(step.argmin(axis=1))
        cost = step.min(axis=1)
    bounds = [size - 1]
    for choice in reversed(choices):
        bounds.append(int(choice[bounds[-1]]))
    chosen = np.unique(bounds) * grain
    return np.minimum(chosen[chosen > 0], longest)
