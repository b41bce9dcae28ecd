import numpy as np

from tests.models.ngrams.definitions import (
    VOCABULARY_SIZE,
    backed_off,
    distribution,
)
from tests.models.ngrams.definitions import uniform as one
from tflm.models.ngrams.counts import count
from tflm.models.ngrams.tables import ABSENT, interpolate, uniform


def test_nothing_seen_gives_the_uniform_distribution():
    tables = uniform(VOCABULARY_SIZE, 3)
    assert [len(table.keys) for table in tables] == [VOCABULARY_SIZE + 1, 1, 1]
    for history in [(), (2,), (2, 5), (5, 4)]:
        found = distribution(backed_off(tables), history)
        expected = [one(token) for token in range(VOCABULARY_SIZE)]
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_interpolation_adds_the_weighted_shorter_history():
    counts = count(np.array([4, 5, 4, 3]), [0], VOCABULARY_SIZE, 2)

    def estimate(order):
        occurrences = counts.orders[order - 1].counts
        totals = counts.sums(order, occurrences)
        weights = np.where(totals > 0, 0.5, 1.0)
        shares = occurrences / totals[counts.prefixes(order)] / 2
        return shares, weights

    tables = interpolate(counts, estimate)
    for table in tables:
        assert (np.diff(table.keys) > 0).all()
        assert table.keys[-1] == ABSENT
        assert table.log_probs[-1] == table.backoffs[-1] == 0
    probability = backed_off(tables)
    alone = 0.5 / 2 + 0.5 / 7  # 4 is two of four tokens
    np.testing.assert_allclose(probability((), 4), alone, rtol=1e-6)
    np.testing.assert_allclose(probability((5,), 4), 0.5 + alone / 2, rtol=1e-6)
    np.testing.assert_allclose(probability((5,), 6), 0.5 / 14, rtol=1e-6)
    # Nothing stands behind 3, so that its weight is 1.
    np.testing.assert_allclose(probability((3,), 4), alone, rtol=1e-6)
