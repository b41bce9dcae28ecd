"""The learning rate as a function of the step and of the part done."""

import math

_FLOOR = 0.01  # of the learning rate, at the end of the cosine


def learning_rate(
    peak: float, warmup_steps: int, schedule: str, step: int, done: float
) -> float:
    """Linear warm-up, then a cosine down to a hundredth, or a constant.

    Args:
        peak: float. The rate after warm-up.
        warmup_steps: int. Steps from zero to the peak.
        schedule: "cosine" or "constant".
        step: int. Steps taken before this one.
        done: float in [0, 1]. Part of the run that is behind it, in steps or
            in time, whichever bound is nearer.

    Returns:
        The rate of this step.

    Reference: Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983.

    Example:
    >>> learning_rate(1.0, 10, "cosine", step=4, done=0.0)
    0.5
    >>> round(learning_rate(1.0, 10, "cosine", step=99, done=1.0), 3)
    0.01
    """
    warm = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    if schedule == "constant":
        return peak * warm
    cosine = (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return peak * warm * (_FLOOR + (1 - _FLOOR) * cosine)
