"""What Keras tests of its three layers, asked of ours and of its own.

Ours both ways: as training runs them, and by Keras's loop. The oracle is
`recurrent_reference`.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers import recurrent_reference
from tflm import layers

OURS = {"simple_rnn": layers.SimpleRNN, "gru": layers.GRU, "lstm": layers.LSTM}
KERASS = {
    "simple_rnn": keras.layers.SimpleRNN,
    "gru": keras.layers.GRU,
    "lstm": keras.layers.LSTM,
}
CONSTANTS = {
    "kernel_initializer": keras.initializers.Constant(0.01),
    "recurrent_initializer": keras.initializers.Constant(0.02),
    "bias_initializer": keras.initializers.Constant(0.03),
}
MASK = np.array([[True, True, False, True], [True, False, False, True]])


class Asked:
    """A layer of one kind, and whether it is called as in training."""

    def __init__(self, kind, classes, training):
        self.kind, self.made, self.training = kind, classes[kind], training
        self.count = recurrent_reference.STATES[kind]

    def layer(self, units=3, **options):
        return self.made(units, **CONSTANTS, **options)

    def call(self, layer, inputs, **arguments):
        return layer(inputs, training=self.training, **arguments)


@pytest.fixture(
    params=[
        (kind, side)
        for kind in OURS
        for side in ("training", "not training", "keras")
    ],
    ids=lambda param: "-".join(param).replace(" ", "_"),
    name="asked",
)
def fixture_asked(request):
    kind, side = request.param
    classes = KERASS if side == "keras" else OURS
    return Asked(kind, classes, training=side == "training")


def numbers(*shape):
    return np.arange(np.prod(shape)).reshape(shape).astype("float32")


def expected(asked, layer, inputs, **options):
    weights = [np.asarray(w, np.float64) for w in layer.get_weights()]
    if not layer.use_bias:
        weights.append(np.zeros(weights[0].shape[1]))
    return recurrent_reference.run(asked.kind, inputs, weights, **options)


def assert_close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.5},
        {"dropout": 0.5, "recurrent_dropout": 0.5},
        {
            "return_sequences": True,
            "bias_regularizer": "l1",
            "kernel_regularizer": "l2",
            "recurrent_regularizer": "l2",
        },
    ],
    ids=["dropout", "both_dropouts", "regularizers"],
)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_basics(asked, options, policy):
    layer = asked.layer(dtype=policy, **options)
    shape = (3, 2, 3) if options.get("return_sequences") else (3, 3)
    assert layer.compute_output_shape((3, 2, 4)) == shape
    outputs = asked.call(layer, numbers(3, 2, 4))
    assert outputs.shape == shape
    assert outputs.dtype == layer.compute_dtype
    assert len(layer.trainable_weights) == 3
    assert layer.non_trainable_weights == []
    # The seed of dropout.
    assert len(layer.non_trainable_variables) == 1
    assert len(layer.losses) == (3 if "bias_regularizer" in options else 0)
    assert layer.supports_masking
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    "asked",
    [(kind, side) for kind in OURS for side in ("training", "keras")],
    ids="-".join,
    indirect=True,
)
@pytest.mark.parametrize("options", [{}, {"dropout": 0.3}], ids=str)
def test_a_model_of_it_is_fitted(asked, options):
    """Of a length unknown to the graph, as Keras tries every layer."""
    model = keras.Sequential(
        [keras.Input((None, 4)), asked.layer(**options), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    before = [np.array(w) for w in model.get_weights()]
    model.fit(numbers(6, 5, 4) / 100, numbers(6, 1) / 10, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        assert np.isfinite(new).all()
        assert not np.array_equal(old, new)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"go_backwards": True},
        {"unroll": True},
        {"use_bias": False},
        {"reset_after": False},
        {"implementation": 1},
        {"implementation": 2},
    ],
    ids=lambda options: "-".join(options) or "usual",
)
def test_correctness(asked, options):
    if asked.kind == "simple_rnn" and "implementation" in options:
        pytest.skip("SimpleRNN has one implementation")
    if asked.kind != "gru" and "reset_after" in options:
        pytest.skip("only a GRU has a reset gate")
    layer, inputs = asked.layer(**options), numbers(3, 6, 4)
    outputs = asked.call(layer, inputs)
    backwards = options.get("go_backwards", False)
    wanted, _ = expected(asked, layer, inputs, go_backwards=backwards)
    assert_close(outputs, wanted[:, -1])


def test_statefulness(asked):
    layer, inputs = asked.layer(4, stateful=True), numbers(2, 3, 4)
    asked.call(layer, inputs)
    _, states = expected(asked, layer, inputs)
    wanted, _ = expected(asked, layer, inputs, states=states)
    assert_close(asked.call(layer, inputs), wanted[:, -1])
    layer.reset_state()
    asked.call(layer, inputs)
    assert_close(asked.call(layer, inputs), wanted[:, -1])


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_initial_state_and_returned_state(asked, backwards, sequences):
    layer = asked.layer(
        2, go_backwards=backwards, return_state=True, return_sequences=sequences
    )
    inputs, states = numbers(2, 4, 3), numbers(asked.count, 2, 2)
    outputs, *last = asked.call(layer, inputs, initial_state=[*states])
    wanted, wanted_last = expected(
        asked, layer, inputs, states=states, go_backwards=backwards
    )
    assert_close(outputs, wanted if sequences else wanted[:, -1])
    assert_close(last, wanted_last)


@pytest.mark.parametrize(
    "options",
    [
        {"unroll": True},
        {"return_sequences": True},
        {"return_sequences": True, "zero_output_for_mask": True},
        {"go_backwards": True},
    ],
    ids=lambda options: "-".join(options),
)
def test_masking(asked, options):
    layer, inputs = asked.layer(2, **options), numbers(2, 4, 3)
    outputs = asked.call(layer, inputs, mask=MASK)
    rules = {**options}
    sequences = rules.pop("return_sequences", False)
    rules.pop("unroll", None)
    wanted, _ = expected(asked, layer, inputs, mask=MASK, **rules)
    assert_close(outputs, wanted if sequences else wanted[:, -1])


def test_legacy_implementation_argument(asked):
    if asked.kind == "simple_rnn":
        pytest.skip("SimpleRNN has one implementation")
    config = {**asked.layer().get_config(), "implementation": 0}
    layer, inputs = asked.made.from_config(config), numbers(3, 6, 4)
    outputs = asked.call(layer, inputs)
    assert_close(outputs, expected(asked, layer, inputs)[0][:, -1])


def test_stateful_with_symbolic_batch_size(asked):
    layer = asked.layer(5, stateful=True)
    inputs = tf.ones([2, 10, 10])
    asked.call(layer, inputs)

    @tf.function(input_signature=[tf.TensorSpec([None, 10, 10])])
    def call(inputs):
        return asked.call(layer, inputs)

    _, states = expected(asked, layer, inputs.numpy())
    wanted, _ = expected(asked, layer, inputs.numpy(), states=states)
    outputs = call(inputs)
    assert outputs.shape == (2, 5)
    assert_close(outputs, wanted[:, -1])


def test_stateful_batch_of_another_size_is_refused(asked):
    layer = asked.layer(2, stateful=True)
    steps = keras.Input((5, 3), batch_size=4)
    model = keras.Model(steps, layer(steps))
    model(numbers(4, 5, 3), training=asked.training)
    with pytest.raises(ValueError, match="batch size"):
        model(numbers(1, 5, 3), training=asked.training)


@pytest.mark.parametrize("shape", [(3, 4, 5), (None, None, 5)])
def test_output_shapes_are_known_before(asked, shape):
    batch_size, length, _ = shape
    states = [(batch_size, 8)] * asked.count
    for sequences, outputs in (
        (False, (batch_size, 8)),
        (True, (batch_size, length, 8)),
    ):
        layer = asked.layer(8, return_sequences=sequences)
        assert layer.compute_output_shape(shape) == outputs
        layer = asked.layer(8, return_sequences=sequences, return_state=True)
        assert [*layer.compute_output_shape(shape)] == [outputs, *states]


def test_bidirectional(asked):
    layer = asked.layer(3, return_sequences=True)
    both, inputs = keras.layers.Bidirectional(layer), numbers(3, 6, 4)
    outputs = both(inputs, training=asked.training)
    forward, _ = expected(asked, both.forward_layer, inputs)
    backward, _ = expected(
        asked, both.backward_layer, inputs, go_backwards=True
    )
    assert_close(outputs, np.concatenate([forward, backward[:, ::-1]], axis=2))
