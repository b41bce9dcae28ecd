import math

import pytest

from tflm.training import schedule

HALF = 0.01 + 0.99 * 0.5
QUARTER = 0.01 + 0.99 * (1 + math.sqrt(0.5)) / 2


@pytest.mark.parametrize(
    ("kind", "warmup_steps", "step", "done", "expected"),
    [
        ("constant", 0, 0, 0.0, 2.0),
        ("constant", 0, 999, 1.0, 2.0),
        ("constant", 4, 0, 0.0, 0.5),
        ("constant", 4, 2, 0.5, 1.5),
        ("constant", 4, 3, 0.5, 2.0),
        ("constant", 4, 4, 0.5, 2.0),
        ("cosine", 0, 0, 0.0, 2.0),
        ("cosine", 0, 10, 0.25, 2.0 * QUARTER),
        ("cosine", 0, 10, 0.5, 2.0 * HALF),
        ("cosine", 0, 10, 1.0, 0.02),
        # A last step may end a little past the bound by time.
        ("cosine", 0, 10, 1.3, 0.02),
        # Decay goes on under warm-up: the two are multiplied.
        ("cosine", 10, 4, 0.5, 1.0 * HALF),
    ],
)
def test_learning_rate(kind, warmup_steps, step, done, expected):
    rate = schedule.learning_rate(2.0, warmup_steps, kind, step, done)
    assert rate == pytest.approx(expected, rel=1e-12)
