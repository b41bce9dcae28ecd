import numpy as np
import pytest

from tests.documents import numbered, store_of
from tflm import config, pipelines
from tflm.pipelines.sequences import generator

STORE = store_of(numbered([30, 12]))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("windows", "Windows"),
        ("random", "RandomWindows"),
        ("contiguous", "Contiguous"),
        ("documents", "DocumentBatches"),
    ],
)
def test_settings_name_the_kind(kind, name):
    settings = config.SequencesConfig(sequences=kind, seq_len=6, batch_size=3)
    data = pipelines.sequences_of(STORE, settings, seed=5)
    assert type(data).__name__ == name
    assert (data.seq_len, data.batch_size, data.seed) == (6, 3, 5)
    batch = next(iter(data.dataset()))
    assert data.shape in ((3, 6), (None, None))
    assert len(batch) == 3 + data.carries
    for part, expected in zip(batch, data.read(0), strict=True):
        np.testing.assert_array_equal(part, expected)


def test_generator_tells_seeds_and_steps_apart():
    drawn = {
        tuple(generator(seed, step).integers(1000, size=4))
        for seed in range(3)
        for step in range(3)
    }
    assert len(drawn) == 9


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="goes with --sequences contiguous"):
        config.SequencesConfig(span=128)
    with pytest.raises(ValueError, match="multiple of `seq_len`.*span=100"):
        config.SequencesConfig(sequences="contiguous", span=100)
