"""The loop on every kind of sequence: losses by hand, traces, resuming."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.documents import random_documents, store_of
from tests.training.conftest import Recorder, compiled, digests, make_loop
from tflm import models
from tflm.layers import fused, products, scan_steps, scans
from tflm.pipelines import Contiguous, DocumentBatches, Examples, Sequences
from tflm.pipelines.examples import make_examples

VOCABULARY = 12
STORE = store_of(random_documents(seed=3, vocabulary_size=VOCABULARY))


def model(kind, **options):
    keras.utils.set_random_seed(4)
    made = kind(
        vocabulary_size=VOCABULARY, embedding_dim=8, dropout=0.0, **options
    )
    # Too slow a pace to change a loss: all steps see the same weights.
    return compiled(made, 1e-12)


def gru(num_layers=2, **options):
    return model(models.GRU, units=7, num_layers=num_layers, **options)


def gpt():
    return model(models.GPT, num_layers=1, num_heads=2, context=5)


def losses(tmp_path, made, data, steps):
    recorder = Recorder(steps)
    loop = make_loop(
        tmp_path,
        [recorder],
        model=made,
        data=data,
        max_steps=steps,
        learning_rate=1e-12,
    )
    loop.run()
    return list(recorder.losses.values()), loop


@pytest.mark.parametrize("kind", [gru, gpt])
@pytest.mark.parametrize("span", [0, 12])
def test_contiguous_losses_are_those_of_rows_read_one_by_one(
    kind, span, tmp_path
):
    data = Contiguous(STORE, 4, 3, seed=1, span=span)
    made = kind()
    steps = data.steps(1) + 3 if not span else 9
    seen, _ = losses(tmp_path, made, data, steps)

    @tf.function
    def read(ids, state):
        return made(ids, initial_state=state, return_state=True)

    states = [None] * 3
    for step, loss in enumerate(seen):
        inputs, targets, weights, resets = data.read(step)
        nats = 0.0
        for row in range(3):
            if resets[row]:
                states[row] = made.get_initial_state(1)
            logits, states[row] = read(inputs[row : row + 1], states[row])
            shares = tf.nn.log_softmax(logits[0]).numpy()
            own = shares[np.arange(4), targets[row]]
            nats -= (own * weights[row]).sum()
        assert loss == pytest.approx(nats / max(weights.sum(), 1), rel=1e-5)


def test_no_gradient_flows_into_the_carried_state():
    made = gru()
    inputs, targets, weights, _ = Contiguous(STORE, 4, 3, seed=1).read(0)
    state = {
        name: tf.cast(tf.random.stateless_uniform(t.shape, [1, 2]), t.dtype)
        for name, t in made.get_initial_state(3).items()
    }
    with tf.GradientTape() as tape:
        nats, _ = made.training_nats(inputs, targets, weights, state)
    gradients = tape.gradient(nats, made.trainable_variables)
    assert all(g is not None for g in gradients)
    # By finite differences with the state held fixed.
    variable = made.recurrent[0].scan.cell.recurrent_kernel
    numeric = []
    before = variable.numpy()
    place = next(
        i for i, v in enumerate(made.trainable_variables) if v is variable
    )
    for sign in (1, -1):
        changed = before.copy()
        changed[0, 0] += sign * 1e-2
        variable.assign(changed)
        numeric.append(
            float(made.training_nats(inputs, targets, weights, state)[0])
        )
    slope = (numeric[0] - numeric[1]) / 2e-2
    assert float(gradients[place][0, 0]) == pytest.approx(slope, abs=2e-3)


@pytest.mark.parametrize("span", [0, 12])
def test_carried_run_goes_on_bit_for_bit(span, tmp_path):
    def loop(folder, recorder, steps):
        keras.utils.set_random_seed(4)
        made = models.GRU(
            vocabulary_size=VOCABULARY, embedding_dim=8, units=7, dropout=0.2
        )
        return make_loop(
            tmp_path / folder,
            [recorder],
            model=compiled(made, 0.01),
            data=Contiguous(STORE, 4, 3, seed=1, span=span),
            learning_rate=0.01,
            max_steps=steps,
        )

    whole = loop("whole", Recorder(14), 14)
    whole.run()
    loop("parts", Recorder(5), 5).run()
    recorder = Recorder(14)
    resumed = loop("parts", recorder, 14)
    resumed.run(resume=True)
    assert sorted(recorder.losses) == list(range(6, 15))
    assert digests(resumed.model) == digests(whole.model)
    for name, variable in whole.train_step.carried.items():
        np.testing.assert_array_equal(
            variable, resumed.train_step.carried[name]
        )


class Weighted(Sequences):
    """One batch whose weights are what they are told to be."""

    def __init__(self, batch):
        super().__init__(STORE, *batch.targets.shape[::-1], seed=0)
        self.batch = batch

    def steps(self, epochs):
        return epochs

    def epoch(self, step):
        return step

    def read(self, step):
        return self.batch


def test_loss_and_gradient_count_real_targets_only(tmp_path):
    """Half of the weights are zero; what stands there does not matter."""
    rows = np.arange(20).reshape(4, 5)
    weights = np.tile(np.float32([[1, 0]]), 10).reshape(4, 5)
    weights[2] = 0
    batch = make_examples(STORE.targets, STORE.starts, rows, weights)
    noise = np.where(weights == 0, 7, batch.targets)
    results = []
    for targets in (batch.targets, noise):
        made = gru(num_layers=1)
        seen, loop = losses(
            tmp_path / str(len(results)),
            made,
            Weighted(Examples(batch.inputs, targets, weights)),
            1,
        )
        results.append((seen, made.optimizer.variables[3].numpy()))
        shares = tf.nn.log_softmax(made(batch.inputs)).numpy()
        own = np.take_along_axis(shares, batch.targets[..., None], 2)[..., 0]
        expected = -(own * weights).sum() / weights.sum()
        assert seen == [pytest.approx(expected, rel=1e-5)]
        assert loop.progress.tokens == weights.sum()
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("pad", ["buckets", "longest", "fixed"])
def test_one_trace_serves_all_shapes(pad, tmp_path):
    documents = random_documents(seed=6, count=30, longest=30)
    data = DocumentBatches(store_of(documents), 31, 4, seed=2, pad=pad)
    _, loop = losses(tmp_path, gru(num_layers=1), data, data.steps(2))
    assert loop.progress.step == data.steps(2)
    assert loop.train_step.run.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("dtype", "kernels"),
    # Forward and backward, for all layers; with products for each of two, and
    # then those behind the loop, two and three of different widths.
    [("float32", 2), ("mixed_bfloat16", 2 + 2 * 2 + 5)],
)
def test_eight_buckets_compile_no_kernel_more_than_eight_times(
    tmp_path, monkeypatch, dtype, kernels
):
    traced = []

    def counting(function):
        def body(*tensors, **how):  # runs when traced, and is compiled then
            traced.append(str(tensors))
            return function(*tensors, **how)

        return fused.fused(body)

    monkeypatch.setattr(scan_steps, "fused", counting)
    for module in scan_steps, scans:
        monkeypatch.setattr(module, "fused_apart", counting)
    monkeypatch.setattr(products, "are_faster", tf.bfloat16.__eq__)
    for maker in scan_steps._forward, scan_steps._backward:
        monkeypatch.setattr(  # as if none had been made
            scan_steps, maker.__name__, functools.cache(maker.__wrapped__)
        )
    documents = random_documents(seed=6, count=60, longest=60)
    data = DocumentBatches(store_of(documents), 61, 4, seed=2)
    steps = data.steps(2)
    # A kernel is compiled once for each of the shapes that come.
    shapes = {data.read(step).inputs.shape for step in range(steps)}
    assert 2 < len(shapes) <= 8
    losses(tmp_path, gru(dtype=dtype), data, steps)
    # For any shape.
    assert len(traced) == kernels


def test_contiguous_rows_stay_on_one_device(tmp_path, monkeypatch):
    monkeypatch.setattr(
        type(tf.distribute.get_strategy()), "num_replicas_in_sync", 2
    )
    with pytest.raises(ValueError, match="more than one device.*2 devices"):
        make_loop(tmp_path, model=gru(), data=Contiguous(STORE, 4, 3, 0))
