"""The miniature GPT: exact in pieces, at any position, under any mask."""

import keras
import keras_nlp
import numpy as np
import pytest
import tensorflow as tf

from tflm.models import GPT

V, CONTEXT, LENGTH = 19, 5, 23


def made(**changes):
    """A small GPT whose weights are large enough to tell positions apart."""
    keras.utils.set_random_seed(1)
    settings = {
        "vocabulary_size": V,
        "embedding_dim": 16,
        "num_heads": 2,
        "num_layers": 2,
        "context": CONTEXT,
    }
    model = GPT(**{**settings, **changes})
    random = np.random.default_rng(2)
    for weight in model.trainable_variables:
        weight.assign(random.normal(size=weight.shape) * 0.3)
    return model


@pytest.fixture(scope="module")
def model():
    return made()


@pytest.fixture(scope="module")
def ids():
    random = np.random.default_rng(3)
    return tf.constant(random.integers(4, V, [3, LENGTH]), tf.int32)


@pytest.mark.parametrize("size", [1, 2, 4, 5, 6, 11, LENGTH])
def test_pieces_of_any_size_equal_one_pass_across_the_rings_edge(
    model, ids, size
):
    _, state = model(ids[:, :0], return_state=True)  # nothing is a piece too
    pieces = []
    for start in range(0, LENGTH, size):
        piece = ids[:, start : start + size]
        logits, state = model(piece, initial_state=state, return_state=True)
        pieces.append(logits)
    np.testing.assert_allclose(tf.concat(pieces, 1), model(ids), atol=1e-5)
    assert state["position"].numpy().tolist() == [LENGTH] * 3


def test_masked_steps_one_by_one_leave_the_state_of_one_pass(model, ids):
    mask = np.random.default_rng(4).random([3, LENGTH]) < 0.6
    _, expected = model(ids, mask=tf.constant(mask), return_state=True)
    state = model.get_initial_state(3)
    for step in range(LENGTH):
        at = slice(step, step + 1)
        _, state = model(
            ids[:, at],
            mask=tf.constant(mask[:, at]),
            initial_state=state,
            return_state=True,
        )
    for name, tensor in expected.items():
        np.testing.assert_allclose(state[name], tensor, atol=1e-5)


def test_rows_under_a_mask_equal_each_row_alone(model, ids):
    mask = np.random.default_rng(4).random([3, LENGTH]) < 0.6
    logits, state = model(ids, mask=tf.constant(mask), return_state=True)
    for row in range(3):
        alone = tf.boolean_mask(ids[row], mask[row])[tf.newaxis]
        expected, after = model(alone, return_state=True)
        np.testing.assert_allclose(
            logits[row][mask[row]], expected[0], atol=1e-5
        )
        for name, values in after.items():
            np.testing.assert_allclose(state[name][row], values[0], atol=1e-5)


def test_rows_at_different_positions_go_on_as_each_would_alone(model, ids):
    mask = tf.sequence_mask([2, 11, 7], 11)
    _, state = model(ids[:, :11], mask=mask, return_state=True)
    logits, _ = model(ids[:, 11:], initial_state=state, return_state=True)
    for row, length in enumerate([2, 11, 7]):
        text = tf.concat([ids[row, :length], ids[row, 11:]], axis=0)
        expected = model(text[tf.newaxis])[0, length:]
        np.testing.assert_allclose(logits[row], expected, atol=1e-5)


def test_position_one_million_reads_as_position_zero(model, ids):
    state = model.get_initial_state(3)
    state["position"] += 1_000_000
    # A ring that far has no empty slots: once they have left the context,
    # only differences of positions are left to matter.
    warm = CONTEXT * model.num_layers
    _, state = model(ids[:, :warm], initial_state=state, return_state=True)
    logits, state = model(ids[:, warm:], initial_state=state, return_state=True)
    np.testing.assert_allclose(logits, model(ids)[:, warm:], atol=1e-4)
    assert state["position"][0] == 1_000_000 + LENGTH


def test_a_position_depends_on_its_context_and_on_nothing_else(ids):
    model = made(num_layers=1)
    place = 11
    with tf.GradientTape() as tape:
        embedded = model.embedding(ids)
        tape.watch(embedded)
        positions = tf.range(LENGTH)[tf.newaxis]
        hidden, _ = model.blocks[0](embedded, positions)
        picked = tf.reduce_sum(hidden[:, place] ** 2)
    gradient = tape.gradient(picked, embedded)
    reached = np.abs(gradient).sum(axis=(0, 2)) > 0
    expected = np.zeros(LENGTH, bool)
    expected[place - CONTEXT + 1 : place + 1] = True
    np.testing.assert_array_equal(reached, expected)


def test_a_masked_position_gives_no_gradient(model, ids):
    mask = np.ones([3, LENGTH], bool)
    mask[:, 4:9] = False
    with tf.GradientTape() as tape:
        embedded = tf.Variable(model.embedding(ids))
        attended, _ = model.blocks[0](
            embedded,
            tf.cumsum(tf.cast(mask, tf.int32), axis=1) - 1,
            mask=tf.constant(mask),
        )
        loss = tf.reduce_sum(tf.boolean_mask(attended, mask) ** 2)
    gradient = np.abs(tape.gradient(loss, embedded)).sum(axis=2)
    assert (gradient[~mask] == 0).all()
    assert (gradient[mask] > 0).all()


def test_state_is_named_float32_or_int32_and_zero():
    model = made(dtype="mixed_bfloat16")
    names = {f"layer_{i}_{n}" for i in (0, 1) for n in ("keys", "values")}
    state = model.get_initial_state(2)
    assert set(state) == {"position", *names}
    _, after = model(tf.constant([[5], [6]]), None, state, return_state=True)
    for values in (state, after):
        assert values["position"].dtype == tf.int32
        assert all(values[name].dtype == tf.float32 for name in names)
    assert all(not np.any(values) for values in state.values())


def test_equals_kerashubs_decoder_where_the_two_coincide(ids):
    model = made(num_layers=1, rotary=False, context=LENGTH)
    block = model.blocks[0]
    decoder = keras_nlp.layers.TransformerDecoder(
        intermediate_dim=64,
        num_heads=2,
        activation=lambda x: keras.activations.gelu(x, approximate=True),
        layer_norm_epsilon=1e-5,
        normalize_first=True,
    )
    embedded = model.embedding(ids)
    decoder(embedded)
    kernel, bias = block.attention.projection.get_weights()
    attention = decoder._self_attention_layer
    for part, dense in enumerate(
        (attention._query_dense, attention._key_dense, attention._value_dense)
    ):
        columns = slice(16 * part, 16 * (part + 1))
        dense.set_weights(
            [
                kernel[:, columns].reshape(16, 2, 8),
                bias[columns].reshape(2, 8),
            ]
        )
    kernel, bias = block.attention.output_projection.get_weights()
    attention._output_dense.set_weights([kernel.reshape(2, 8, 16), bias])
    pairs = [
        (decoder._self_attention_layer_norm, block.attention_norm),
        (decoder._feedforward_layer_norm, block.network_norm),
        (decoder._feedforward_intermediate_dense, block.widen),
        (decoder._feedforward_output_dense, block.narrow),
    ]
    for theirs, ours in pairs:
        theirs.set_weights(ours.get_weights())
    ours, _ = block(embedded, tf.range(LENGTH)[tf.newaxis])
    np.testing.assert_allclose(ours, decoder(embedded), atol=1e-5)


def test_rotary_positions_are_kerashubs_up_to_the_order_of_the_pairs():
    from tflm.layers import heads
    from tflm.layers.attention import rotation

    vectors = np.random.default_rng(5).normal(size=[2, 9, 3, 8])
    vectors = tf.constant(vectors, tf.float32)
    theirs = keras_nlp.layers.RotaryEmbedding(sequence_axis=1, feature_axis=-1)
    heads_first = tf.transpose(vectors, [0, 2, 1, 3])
    ours = heads.turn(heads_first, *rotation(tf.range(9)[tf.newaxis], 8))
    ours = tf.transpose(ours, [0, 2, 1, 3])
    np.testing.assert_allclose(ours, theirs(vectors), atol=1e-5)


def test_a_saved_model_file_gives_the_same_logits(model, ids, tmp_path):
    model.save(tmp_path / "gpt.keras")
    loaded = keras.models.load_model(tmp_path / "gpt.keras")
    np.testing.assert_array_equal(loaded(ids), model(ids))


def test_heads_must_divide_the_width():
    message = "multiple of twice `num_heads`. Received: embedding_dim=10"
    with pytest.raises(ValueError, match=message):
        GPT(vocabulary_size=V, embedding_dim=10, num_heads=2)


def value_and_gradients(model, ids, mask, state, training):
    """Logits and every weight's gradient, by the kernels or without them."""
    with tf.GradientTape() as tape:
        logits = model(ids, mask=mask, initial_state=state, training=training)
        numbers = tf.range(tf.size(logits))
        weights = tf.cos(tf.cast(tf.reshape(numbers, logits.shape), tf.float32))
        if mask is not None:  # what a masked position says is anything
            weights *= tf.cast(mask, tf.float32)[:, :, tf.newaxis]
            logits = tf.where(mask[:, :, tf.newaxis], logits, 0)
        loss = tf.reduce_sum(weights * logits)
    gradients = tape.gradient(loss, model.trainable_weights)
    return logits, [tf.convert_to_tensor(g) for g in gradients]


@pytest.mark.parametrize("form", ["plain", "masked", "carried"])
def test_training_is_the_plain_computation_at_six_layers(form):
    """In float32 each gradient; rounded to bfloat16 all of them together."""
    shape = {"embedding_dim": 32, "num_layers": 6, "num_heads": 4, "context": 6}
    models_ = []
    for dtype in ("float32", "mixed_bfloat16"):
        keras.utils.set_random_seed(3)
        models_.append(
            GPT(vocabulary_size=11, tie_embeddings=False, dtype=dtype, **shape)
        )
    plain, rounded = models_
    random = np.random.default_rng(4)
    weights = [
        w + random.normal(0, 0.1, w.shape).astype(np.float32)
        for w in plain.get_weights()
    ]
    for model in models_:
        model.set_weights(weights)
    ids = tf.constant(random.integers(0, 11, [4, 10]), tf.int32)
    mask = tf.constant(random.random([4, 10]) < 0.7)
    mask = mask if form == "masked" else None
    state = None
    if form == "carried":
        _, state = plain(ids[:, ::-1], return_state=True)
    expected, gradients = value_and_gradients(plain, ids, mask, state, False)
    found, own = value_and_gradients(plain, ids, mask, state, True)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    for variable, one, other in zip(
        plain.trainable_weights, own, gradients, strict=True
    ):
        error = tf.norm(one - other) / tf.norm(other)
        assert float(error) < 1e-5, variable.path
    # No further from the truth than the plain computation, rounded likewise.
    errors = []
    for training in (False, True):
        found, own = value_and_gradients(rounded, ids, mask, state, training)
        error = tf.norm(found - expected) / tf.norm(expected)
        assert float(error) < 2e-2
        far = [one - other for one, other in zip(own, gradients, strict=True)]
        errors.append(tf.linalg.global_norm(far))
    share = errors[1] / tf.linalg.global_norm(gradients)
    assert float(share) < 2.5e-2
    assert float(errors[1]) < 1.3 * float(errors[0])
