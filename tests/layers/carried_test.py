import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers import recurrent_reference
from tflm import layers

UNITS, WIDTH = 6, 5

KINDS = [layers.SimpleRNN, layers.GRU, layers.LSTM]

every_kind = pytest.mark.parametrize("kind", KINDS)


STEPS = {
    layers.SimpleRNN: recurrent_reference.simple_rnn,
    layers.GRU: recurrent_reference.gru,
    layers.LSTM: recurrent_reference.lstm,
}


def brute(layer, inputs, state, mask=None):
    """Outputs [B,T,U] and the last state, one position at a time, float64."""
    weights = [np.float64(weight) for weight in layer.get_weights()]
    state = [np.float64(part) for part in state]
    outputs = []
    for t in range(inputs.shape[1]):
        stepped = STEPS[type(layer.scan)](
            np.float64(inputs[:, t]), state, *weights
        )
        if mask is not None:
            there = mask[:, t, np.newaxis]
            stepped = [
                np.where(there, new, old)
                for new, old in zip(stepped, state, strict=True)
            ]
        state = stepped
        outputs.append(state[0])
    return np.stack(outputs, axis=1), state


def carried(kind, name=None, **options):
    scan = kind(UNITS, return_sequences=True, return_state=True, **options)
    return layers.Carried(scan, name=name, **options)


def random_layer(kind, **options):
    """A layer none of whose weights, biases included, is zero."""
    layer = carried(kind, **options)
    layer.build((None, None, WIDTH))
    random = np.random.default_rng(1)
    layer.set_weights(
        [random.normal(0, 0.7, weight.shape) for weight in layer.weights]
    )
    return layer


def random_inputs(batch_size, length, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=[batch_size, length, WIDTH]).astype(np.float32)


def random_state(kind, batch_size):
    random = np.random.default_rng(2)
    return tuple(
        random.normal(0, 0.5, [batch_size, UNITS]).astype(np.float32)
        for _ in kind.state_names
    )


def assert_close(found, expected, tolerance=1e-5):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance)


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        ({"return_state": False}, "return_state=False"),
        ({"return_sequences": False}, "return_sequences=False"),
        ({"dropout": 0.5}, "dropout=0.5, recurrent_dropout=0"),
        ({"recurrent_dropout": 0.25}, "dropout=0.0, recurrent_dropout=0.25"),
        ({"go_backwards": True}, "go_backwards=True, stateful=False"),
        ({"stateful": True}, "go_backwards=False, stateful=True"),
    ],
)
def test_scan_that_gives_something_else_is_refused(lacks, said):
    fit = {"return_sequences": True, "return_state": True}
    with pytest.raises(ValueError, match=f"Received: .*{said}"):
        layers.Carried(layers.GRU(UNITS, **fit | lacks))


@every_kind
@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("training", [False, True])
def test_mask_of_numbers_is_one_of_truths(kind, length, training):
    layer, before = random_layer(kind), random_state(kind, 2)
    inputs, mask = random_inputs(2, length), np.ones([2, length], np.int64)
    mask[0] = 0
    found, expected = (
        layer(inputs, before, mask=given, training=training)
        for given in (mask, mask.astype(bool))
    )
    for one, other in zip(
        *map(tf.nest.flatten, (found, expected)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_config_can_be_used_twice():
    config = carried(layers.GRU).get_config()
    for _ in range(2):
        assert layers.Carried.from_config(config).scan.units == UNITS


@every_kind
@pytest.mark.parametrize("length", [1, 2, 7])
@pytest.mark.parametrize("training", [False, True])
def test_outputs_and_state_are_those_of_the_equations(kind, length, training):
    layer, inputs = random_layer(kind), random_inputs(3, length)
    before = random_state(kind, 3)
    outputs, after = layer(inputs, before, training=training)
    expected, expected_after = brute(layer, inputs, before)
    assert_close([outputs, *after], [expected, *expected_after])


@every_kind
@pytest.mark.parametrize("length", [1, 6])
def test_masked_position_leaves_the_state_as_it_was(kind, length):
    layer, inputs = random_layer(kind), random_inputs(4, length)
    before = random_state(kind, 4)
    mask = np.random.default_rng(3).random([4, length]) < 0.5
    mask[0], mask[1] = False, True
    outputs, after = layer(inputs, before, mask=mask)
    expected, expected_after = brute(layer, inputs, before, mask)
    assert_close(after, expected_after)
    assert_close([outputs.numpy()[mask]], [expected[mask]])
    for name, one, other in zip(kind.state_names, before, after, strict=True):
        np.testing.assert_array_equal(one[0], other[0], err_msg=name)


@every_kind
@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("training", [False, True])
def test_masked_position_does_not_round_the_state(kind, length, training):
    layer = random_layer(kind, dtype="mixed_bfloat16")
    inputs, before = random_inputs(2, length), random_state(kind, 2)
    mask = np.array([[False], [True]]).repeat(length, axis=1)
    _, after = layer(inputs, before, mask=mask, training=training)
    _, free = layer(inputs, before, training=training)
    for one, other, unmasked in zip(after, before, free, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_allclose(one[1], unmasked[1], atol=1e-6)
        assert not np.allclose(one[1], other[1], atol=0.01)


@every_kind
@pytest.mark.parametrize("length", [1, 6])
@pytest.mark.parametrize("training", [False, True])
def test_masked_position_gives_no_gradient(kind, length, training):
    layer, before = random_layer(kind), random_state(kind, 3)
    inputs = tf.constant(random_inputs(3, length))
    mask = np.arange(length)[np.newaxis] % 2 == [[1], [0], [2]]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, after = layer(inputs, before, mask=mask, training=training)
        total = tf.reduce_sum(outputs**2) + sum(map(tf.reduce_sum, after))
    gradient = tape.gradient(total, inputs).numpy()  # [B,T,D]
    assert not gradient[~mask].any()
    assert gradient[mask].all()


@every_kind
def test_one_step_equals_the_scan(kind):
    layer, inputs = random_layer(kind), random_inputs(3, 8)
    whole, last = layer(inputs, random_state(kind, 3))
    state, outputs = random_state(kind, 3), []
    for t in range(8):
        output, state = layer(inputs[:, t : t + 1], state)
        outputs.append(output)
    assert_close([tf.concat(outputs, axis=1), *state], [whole, *last])


@every_kind
@pytest.mark.parametrize("training", [False, True])
def test_output_does_not_depend_on_what_follows(kind, training):
    layer, before = random_layer(kind), random_state(kind, 1)
    inputs, t = tf.constant(random_inputs(1, 6)), 3
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, _ = layer(inputs, before, training=training)
        total = tf.reduce_sum(outputs[:, t])
    gradient = tape.gradient(total, inputs).numpy()[0]
    assert gradient[: t + 1].all() and not gradient[t + 1 :].any()


@every_kind
@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("training", [False, True])
def test_state_is_float32_whatever_the_arithmetic(kind, length, training):
    layer = random_layer(kind, dtype="mixed_bfloat16")
    inputs, before = random_inputs(2, length), random_state(kind, 2)
    outputs, after = layer(inputs, before, training=training)
    assert outputs.dtype == tf.bfloat16
    assert [part.dtype for part in after] == [tf.float32] * len(before)
    expected, expected_after = brute(layer, inputs, before)
    found = [tf.cast(outputs, tf.float32), *after]
    assert_close(found, [expected, *expected_after], tolerance=0.1)


@every_kind
@pytest.mark.parametrize("training", [False, True])
def test_nothing_is_rounded_where_a_text_is_cut(kind, training):
    layer = random_layer(kind, dtype="mixed_bfloat16")
    inputs, state = random_inputs(3, 9), random_state(kind, 3)
    whole, last = layer(inputs, state, training=training)
    pieces = []
    for piece in np.split(inputs, [2, 5, 6, 7], axis=1):  # also of one each
        outputs, state = layer(piece, state, training=training)
        pieces.append(outputs)
    assert_close([tf.concat(pieces, axis=1), *state], [whole, *last], 1e-6)


@every_kind
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("policy", "training", "tolerance"),
    [
        ("float32", True, 1e-5),
        ("float32", False, 1e-5),
        ("mixed_bfloat16", True, 2e-2),
        ("mixed_bfloat16", False, 2e-2),
    ],
)
def test_ids_are_read_as_the_rows_of_a_table(
    kind, policy, training, tolerance, masked
):
    layer, rounded = random_layer(kind), random_layer(kind, dtype=policy)
    random = np.random.default_rng(4)
    table = tf.Variable(random.normal(size=[4, WIDTH]), dtype=tf.float32)
    ids = tf.constant(random.integers(4, size=[3, 7]), tf.int32)
    mask = tf.constant(random.random([3, 7]) < 0.7) if masked else None
    state = tuple(tf.constant(part) for part in random_state(kind, 3))
    shown = random.normal(size=[3, 7, UNITS]).astype(np.float32)

    def found(layer, training, **table_or_not):
        with tf.GradientTape() as tape:
            tape.watch(state)
            inputs = ids if table_or_not else tf.gather(table, ids)
            outputs, last = layer(
                inputs, state, mask=mask, training=training, **table_or_not
            )
            total = tf.reduce_sum(tf.cast(outputs, tf.float32) * shown)
            total += tf.add_n([tf.reduce_sum(part**2) for part in last])
        weights = [weight.value for weight in layer.weights]
        gradients = tape.gradient(total, [table, *weights, *state])
        return [outputs, *last, *map(tf.convert_to_tensor, gradients)]

    expected = found(layer, training=False)  # by Keras's loop
    by_ids = found(rounded, training, table=table)
    assert by_ids[0].dtype == rounded.compute_dtype
    for one, other in zip(by_ids, expected, strict=True):
        error = tf.norm(tf.cast(one, tf.float32) - other) / tf.norm(other)
        assert float(error) < tolerance


@every_kind
@pytest.mark.parametrize("length", [1, None])
def test_graph_of_any_length_gives_the_same(kind, length):
    layer, before = random_layer(kind), random_state(kind, 2)

    @tf.function(input_signature=[tf.TensorSpec([None, length, WIDTH])])
    def call(inputs):
        return layer(inputs, tuple(map(tf.constant, before)))

    inputs = random_inputs(2, 1)
    outputs, after = call(tf.constant(inputs))
    expected, expected_after = brute(layer, inputs, before)
    assert_close([outputs, *after], [expected, *expected_after])


def test_names_of_states():
    names = [carried(kind).state_names for kind in KINDS]
    assert names == [("hidden",), ("hidden",), ("hidden", "cell")]


@every_kind
def test_config_makes_an_equal_layer(kind):
    layer = random_layer(kind, name="own", dtype="mixed_bfloat16")
    saved = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(saved)
    assert type(again) is layers.Carried
    assert type(again.scan) is kind
    assert again.get_config() == layer.get_config()
    assert (again.scan.units, again.name) == (UNITS, "own")
    assert again.compute_dtype == "bfloat16"
