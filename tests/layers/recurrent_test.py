"""Beside Keras's own layers: values, gradients, and all that they can do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import layers
from tflm.layers import cell_steps, recurrent, scans

B, T, D, U = 4, 7, 5, 6
KINDS = {
    "simple_rnn": (layers.SimpleRNN, keras.layers.SimpleRNN),
    "gru": (layers.GRU, keras.layers.GRU),
    "lstm": (layers.LSTM, keras.layers.LSTM),
}
TOLERANCES = {"float32": 1e-5, "mixed_bfloat16": 2e-2}

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def scanned(monkeypatch):
    """How often the scan took the place of Keras's loop."""
    runs = []
    run = scans.scan

    def counted(*arguments):
        runs.append(1)
        return run(*arguments)

    monkeypatch.setattr(recurrent.scans, "scan", counted)
    return runs


def pair(kind, units=U, width=D, **options):
    """Our layer and Keras's with the same weights, none of which is zero."""
    # Not drawn twice: large orthogonal kernels take a second each.
    drawn = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}
    ours, stock = (made(units, **drawn, **options) for made in KINDS[kind])
    batch_size = B if options.get("stateful") else None
    ours.build((batch_size, None, width))
    stock.build((batch_size, None, width))
    random = np.random.default_rng(1)
    scale = 1 / np.sqrt(units)
    weights = [random.normal(0, scale, w.shape) for w in stock.weights]
    ours.set_weights(weights)
    stock.set_weights(weights)
    return ours, stock


def inputs_of(batch_size=B, length=T, width=D, seed=0):
    random = np.random.default_rng(seed)
    shape = [batch_size, length, width]
    return tf.constant(random.normal(size=shape), tf.float32)


def states_of(kind, batch_size=B, units=U):
    random = np.random.default_rng(2)
    count = 2 if kind == "lstm" else 1
    shape = [batch_size, units]
    return [
        tf.constant(random.normal(0, 0.5, shape), tf.float32)
        for _ in range(count)
    ]


def mask_of(form, batch_size=B, length=T):
    """None, padding on the right or on the left, or holes; a row all masked."""
    if form == "none":
        return None
    lengths = np.arange(batch_size)[:, np.newaxis] * length // 3
    mask = np.arange(length) < lengths
    if form == "left":
        mask = mask[:, ::-1]
    if form == "holes":
        mask &= np.random.default_rng(3).random(mask.shape) < 0.7
    return tf.constant(mask)


def weighed(outputs):
    """A loss to which every number counts differently."""
    total = 0.0
    for index, values in enumerate(tf.nest.flatten(outputs)):
        values = tf.reshape(tf.cast(values, tf.float32), [-1])
        numbers = tf.range(tf.size(values))
        weights = tf.cos(tf.cast(numbers + index, tf.float32))
        total += tf.reduce_sum(weights * values)
    return total


def all_of(layer, inputs, states=None, mask=None, training=True):
    """Outputs, and the gradients of inputs, states and weights."""
    watched = [inputs, *(states or [])]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        outputs = layer(
            inputs, initial_state=states, mask=mask, training=training
        )
        loss = weighed(outputs)
    weights = [weight.value for weight in layer.trainable_weights]
    gradients = tape.gradient(loss, [*watched, *weights])
    return [*tf.nest.flatten(outputs), *gradients]


def assert_close(found, expected, tolerance):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        one, other = (tf.cast(tensor, tf.float64) for tensor in (one, other))
        assert one.shape == other.shape
        error = tf.norm(one - other) / tf.maximum(tf.norm(other), 1e-12)
        assert float(error) < tolerance


@every_kind
@pytest.mark.parametrize("policy", TOLERANCES)
@pytest.mark.parametrize("form", ["none", "right", "left", "holes"])
def test_values_and_gradients_are_kerass(kind, policy, form, scanned):
    options = {"return_sequences": True, "return_state": True}
    ours, _ = pair(kind, dtype=policy, **options)
    # Rounded in another order, neither is the truth: that is float32.
    _, stock = pair(kind, **options)
    given = inputs_of(), states_of(kind), mask_of(form)
    found = all_of(ours, *given)
    assert scanned
    assert_close(found, all_of(stock, *given), TOLERANCES[policy])


@every_kind
def test_values_and_gradients_at_full_size(kind):
    _, stock = pair(kind, 1024, 256, return_sequences=True)
    given = inputs_of(64, 100, 256), None, mask_of("right", 64, 100)
    expected = tf.function(all_of)(stock, *given)
    for policy, tolerance in TOLERANCES.items():
        ours, _ = pair(kind, 1024, 256, dtype=policy, return_sequences=True)
        found = tf.function(all_of)(ours, *given)
        assert_close(found, expected, tolerance)


@every_kind
@pytest.mark.parametrize("policy", TOLERANCES)
@pytest.mark.parametrize("form", ["none", "right", "left", "holes"])
def test_outside_of_training_the_loop_is_ours_in_16_bits(
    kind, policy, form, monkeypatch
):
    runs = []
    run = cell_steps.scan
    monkeypatch.setattr(
        cell_steps, "scan", lambda *given: runs.append(1) or run(*given)
    )
    options = {"return_sequences": True, "return_state": True}
    options |= {"dropout": 0.5, "recurrent_dropout": 0.5}  # not of this
    ours, _ = pair(kind, dtype=policy, **options)
    _, stock = pair(kind, **options)
    given = inputs_of(), states_of(kind), mask_of(form), False
    found = all_of(ours, *given)
    assert bool(runs) is (policy == "mixed_bfloat16")
    assert_close(found, all_of(stock, *given), TOLERANCES[policy])


@every_kind
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("form", ["none", "holes"])
def test_what_is_returned(kind, sequences, state, form, scanned):
    options = {"return_sequences": sequences, "return_state": state}
    ours, stock = pair(kind, **options)
    given = inputs_of(), None, mask_of(form)
    found, expected = all_of(ours, *given), all_of(stock, *given)
    assert scanned
    assert_close(found, expected, 1e-5)
    assert len(found) == 1 + state * (1 + (kind == "lstm")) + 4


@every_kind
@pytest.mark.parametrize(
    "options",
    [
        {"use_bias": False},
        {"zero_output_for_mask": True},
        {"dropout": 0.4, "seed": 3},
        {"go_backwards": True},
        {"unroll": True},
        {"activation": "relu"},
        {"recurrent_dropout": 0.3, "seed": 3},
        {"recurrent_dropout": 0.3, "dropout": 0.2, "seed": 3},
        {"recurrent_dropout": 0.3, "dropout": 1.0, "seed": 3},
        {"dtype": "float64"},
    ],
    ids=lambda options: "-".join(options),
)
def test_options_are_kerass(kind, options, scanned):
    ours, stock = pair(kind, return_sequences=True, **options)
    given = inputs_of(), None, mask_of("right")
    found, expected = all_of(ours, *given), all_of(stock, *given)
    by_keras = {"go_backwards", "unroll", "activation", "dtype"}
    by_keras = by_keras & {*options} or options.get("dropout") == 1
    assert bool(scanned) is not bool(by_keras)
    assert_close(found, expected, 1e-5)


def test_gates_of_another_form_are_kerass(scanned):
    for options in ({"reset_after": False}, {"recurrent_activation": "relu"}):
        ours, stock = pair("gru", **options)
        assert_close(
            all_of(ours, inputs_of()), all_of(stock, inputs_of()), 1e-5
        )
    assert not scanned


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_mask_for_each_gate_is_kerass(kind, scanned):
    options = {"implementation": 1, "dropout": 0.4, "seed": 3}
    # Keras fails to share its masks out before it asks for cuDNN.
    options["use_cudnn"] = False
    ours, stock = pair(kind, return_sequences=True, **options)
    found, expected = (
        all_of(layer, inputs_of(), states_of(kind)) for layer in (ours, stock)
    )
    assert scanned
    assert_close(found, expected, 1e-5)


@every_kind
@pytest.mark.parametrize("form", ["none", "holes"])
def test_recurrent_dropout_is_kerass(kind, form, scanned):
    """With holes in a graph, with none without one."""
    options = {"recurrent_dropout": 0.5, "return_state": True}
    _, stock = pair(kind, **options)
    given = inputs_of(), states_of(kind), mask_of(form)

    def run(layer):
        # The same masks: in another precision Keras draws others.
        count = {"simple_rnn": 1, "gru": 3, "lstm": 4}[kind]
        masks = np.random.default_rng(6).random([count, B, U]) < 0.5
        masks = [tf.constant(2.0 * m, layer.compute_dtype) for m in masks]
        layer.cell._recurrent_dropout_mask = masks if count > 1 else masks[0]
        return all_of(layer, *given)

    expected = run(stock)
    assert not scanned
    called = tf.function(run) if form == "holes" else run
    for policy, tolerance in TOLERANCES.items():
        ours, _ = pair(kind, dtype=policy, **options)
        assert_close(called(ours), expected, tolerance)
        assert scanned
        scanned.clear()


@every_kind
def test_one_mask_a_sequence_is_dropped(kind):
    ours, _ = pair(kind, dropout=0.5, return_sequences=True)
    inputs = tf.ones([B, T, D])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(ours(inputs, training=True) ** 2)
    gradient = tape.gradient(loss, inputs).numpy()  # [B,T,D]
    there = gradient != 0
    assert (there == there[:, :1]).all()
    assert 0 < there.mean() < 1
    # Another call drops others; without training nothing is dropped.
    calls = [ours(inputs, training=True).numpy() for _ in range(3)]
    assert not np.array_equal(calls[0], calls[1])
    kept = [ours(inputs, training=False).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*kept)


@every_kind
@pytest.mark.parametrize("form", ["none", "holes"])
def test_masked_step_carries_the_state_and_gives_no_gradient(kind, form):
    ours, _ = pair(kind, return_state=True)
    inputs, states = inputs_of(), states_of(kind)
    mask = tf.zeros([B, T], tf.bool)
    if form == "holes":
        mask = mask_of(form)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        _, *after = ours(inputs, initial_state=states, mask=mask, training=True)
        loss = weighed(after)
    gradient = tape.gradient(loss, inputs).numpy()
    assert not gradient[~mask.numpy()].any()
    for row in np.flatnonzero(~mask.numpy().any(axis=1)):
        for one, other in zip(after, states, strict=True):
            np.testing.assert_array_equal(one[row], other[row])


@every_kind
def test_shapes_may_be_unknown_until_run_time(kind):
    ours, stock = pair(kind, return_sequences=True)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, D]),
            tf.TensorSpec([None, None], tf.bool),
        ]
    )
    def run(inputs, mask):
        return all_of(ours, inputs, None, mask)

    for batch_size, length in ((B, T), (2, 1), (1, 12)):
        inputs = inputs_of(batch_size, length)
        mask = mask_of("left", batch_size, length)
        expected = all_of(stock, inputs, None, mask)
        assert_close(run(inputs, mask), expected, 1e-5)
    assert run.experimental_get_tracing_count() == 1


@every_kind
def test_weights_load_both_ways(kind, tmp_path):
    """Of layers, and of whole models, whose files are the same inside."""
    ours, stock = pair(kind)
    assert [w.path.split("/", 1)[1] for w in ours.weights] == [
        w.path.split("/", 1)[1] for w in stock.weights
    ]
    networks = []
    for made in KINDS[kind]:
        keras.utils.set_random_seed(len(networks))
        layers_ = [made(U, return_sequences=True, name="a"), made(U, name="b")]
        networks.append(keras.Sequential([keras.Input((T, D)), *layers_]))
    for source, target in (networks, networks[::-1]):
        source.save_weights(tmp_path / "saved.weights.h5")
        target.load_weights(tmp_path / "saved.weights.h5")
        np.testing.assert_allclose(
            source(inputs_of()), target(inputs_of()), atol=1e-6
        )
        keras.utils.set_random_seed(7)
        source.set_weights([w + 0.1 for w in source.get_weights()])


@every_kind
def test_stacked_layers_learn_as_kerass_do(kind, scanned):
    """`fit` on a model with masks from its embedding, step by step."""
    losses = []
    for made in KINDS[kind]:
        keras.utils.set_random_seed(4)
        model = keras.Sequential(
            [
                keras.layers.Embedding(9, D, mask_zero=True),
                made(U, return_sequences=True),
                made(U, return_sequences=True),
                keras.layers.Dense(9),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        # Keras's own graph, which is not tested, takes long to make.
        eager = made is KINDS[kind][1]
        model.compile(keras.optimizers.SGD(0.5), loss, run_eagerly=eager)
        ids = np.random.default_rng(5).integers(1, 9, [16, T])
        ids[:, 4:] *= np.arange(16)[:, np.newaxis] % 2
        fitted = model.fit(
            ids, np.roll(ids, -1), epochs=4, verbose=0, shuffle=False
        )
        losses.append(fitted.history["loss"])
    assert scanned
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert losses[0][-1] < losses[0][0]


@every_kind
def test_stateful_layer_goes_on_and_is_reset(kind):
    outputs = []
    for layer in pair(kind, stateful=True):
        first, second = (layer(inputs_of(), training=True) for _ in range(2))
        layer.reset_state()
        again = layer(inputs_of(), training=True)
        np.testing.assert_allclose(first, again, atol=1e-6)
        assert not np.allclose(first, second)
        outputs.append(second)
    np.testing.assert_allclose(*outputs, atol=1e-6)


@every_kind
def test_initial_state_may_be_a_tensor_in_a_functional_model(kind):
    results = []
    for layer in pair(kind, return_sequences=True):
        count = 2 if kind == "lstm" else 1
        states = [keras.Input([U]) for _ in range(count)]
        steps = keras.Input([None, D])
        model = keras.Model(
            [steps, *states], layer(steps, initial_state=states)
        )
        given = [inputs_of(), *states_of(kind)]
        results.append(model(given, training=True))
    np.testing.assert_allclose(*results, atol=1e-6)


@every_kind
def test_saved_model_comes_back_with_its_layers(kind, tmp_path):
    ours, _ = pair(kind, dropout=0.1, name="own", dtype="mixed_bfloat16")
    model = keras.Sequential([keras.Input((T, D)), ours])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    [layer] = again.layers
    assert type(layer) is type(ours)
    assert layer.get_config() == ours.get_config()
    for one, other in zip(layer.weights, ours.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@every_kind
def test_on_a_gpu_keras_is_left_to_it(kind, monkeypatch, scanned):
    monkeypatch.setattr(recurrent, "_has_gpu", lambda: True)
    ours, stock = pair(kind)
    assert_close(all_of(ours, inputs_of()), all_of(stock, inputs_of()), 1e-5)
    assert not scanned


def test_forget_gate_of_a_new_lstm_is_open():
    layer = layers.LSTM(2)
    layer.build((None, None, 3))
    assert layer.get_weights()[2].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


@every_kind
def test_numbers_of_any_kind_are_taken_as_keras_takes_them(kind):
    ours, theirs = pair(kind)
    random = np.random.default_rng(0)
    mask = random.integers(2, size=[3, 5])
    mask[:, 0] = 1
    for inputs in (
        random.integers(3, size=[3, 5, D]),
        random.integers(3, size=[3, 5, D]).astype(np.uint8),
    ):
        for given in (None, mask, mask[..., np.newaxis].astype(bool)):
            found, expected = (
                layer(inputs, mask=given, training=True)
                for layer in (ours, theirs)
            )
            np.testing.assert_allclose(found, expected, atol=1e-6)


@every_kind
def test_xla_makes_the_gradient_outside_of_training(kind):
    layer, _ = pair(kind, dtype="mixed_bfloat16")

    def gradient(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            total = tf.reduce_sum(tf.cast(layer(inputs), tf.float32))
        return tape.gradient(total, inputs)

    inputs = tf.random.stateless_normal([2, 3, D], [1, 2])
    compiled = tf.function(gradient, jit_compile=True)
    np.testing.assert_allclose(compiled(inputs), gradient(inputs), atol=0.05)
