import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers.kernel_calls import kernel_calls
from tests.training.conftest import compiled, windows
from tflm import models
from tflm.config import SequencesConfig
from tflm.pipelines import sequences_of
from tflm.training.train_step import TrainStep

KINDS = {
    "gru": (models.GRU, {"embedding_dim": 6, "units": 7}),
    "lstm": (models.LSTM, {"embedding_dim": 0, "units": 7, "num_layers": 2}),
    "gpt": (
        models.GPT,
        {"embedding_dim": 8, "num_layers": 2, "num_heads": 2, "context": 4},
    ),
}


def made(kind, **more):
    keras.utils.set_random_seed(1)
    model, shape = KINDS[kind]
    return model(vocabulary_size=9, **shape, **more)


def contiguous():
    settings = SequencesConfig(
        sequences="contiguous", seq_len=5, batch_size=4, span=0
    )
    return sequences_of(windows().store, settings, 0)


def step_of(model, data, parts):
    return TrainStep(compiled(model, global_clipnorm=0.5), data, parts)


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def of_windows(kind):
    """Steps on the rows together and in two parts."""
    return [step_of(made(kind), windows(), parts) for parts in (1, 2)]


@pytest.mark.parametrize("data", [windows, contiguous])
def test_rows_in_parts_train_as_they_do_together(kind, data, of_windows):
    together, apart = of_windows
    if data is contiguous:
        together, apart = (
            step_of(made(kind), data(), parts) for parts in (1, 2)
        )
    batches = iter(data().dataset())
    for _ in range(3):
        batch = next(batches)
        for one, other in zip(together(*batch), apart(*batch), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5)
    weights = zip(together.model.weights, apart.model.weights, strict=True)
    for one, other in weights:
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert together.carried.keys() == apart.carried.keys()
    assert bool(apart.carried) == (data is contiguous)
    for name, state in together.carried.items():
        np.testing.assert_allclose(
            state, apart.carried[name], rtol=1e-3, atol=1e-5
        )
    assert apart.run.experimental_get_tracing_count() == 1


def test_parts_share_no_kernel_that_sums(of_windows):
    """Two threads that meet in one when it is new can end the process."""
    batch = next(iter(windows().dataset()))
    together, apart = (
        [sorted(calls.values()) for calls in kernel_calls(step.run, *batch)]
        for step in of_windows
    )
    assert apart[0] == sorted(2 * together[0])
    assert apart[1] == [2 * calls for calls in together[1]]


def test_each_part_drops_something_else(monkeypatch):
    model = made("gru", dropout=0.5)
    of_parts = []
    training_nats = model.training_nats

    def noted(*rows):
        of_parts.append(training_nats(*rows))
        return of_parts[-1]

    monkeypatch.setattr(model, "training_nats", noted)
    step = step_of(model, windows(), 2)
    step.run = step._on_all_devices  # as it is, without a graph
    row = tf.constant([[4, 5, 6, 7, 8]])
    rows = tf.repeat(row, 4, axis=0)
    step(rows, rows, tf.ones([4, 5]))
    (first, _), (second, _) = of_parts
    assert float(first) != float(second)


def test_replicas_have_their_rows_together(monkeypatch):
    strategy = tf.distribute.get_strategy()
    monkeypatch.setattr(
        type(strategy.extended), "_num_replicas_in_sync", 2, raising=True
    )
    step = step_of(made("gru"), windows(), 2)
    assert step.parts == 1
