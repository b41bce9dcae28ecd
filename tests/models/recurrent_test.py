import io
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import config, layers, models

SIZE = 13  # of the vocabulary
KINDS = [models.SimpleRNN, models.GRU, models.LSTM]
# The ways to go from ids to logits.
FORMS = {
    "plain": {"embedding_dim": 5},
    "few_ids": {"embedding_dim": 16},
    "one_hot": {"embedding_dim": 0},
    "tied": {"embedding_dim": 8, "tie_embeddings": True},
    "bridge": {"embedding_dim": 5, "tie_embeddings": True},
}

every_kind = pytest.mark.parametrize("kind", KINDS)
every_form = pytest.mark.parametrize("form", FORMS)

LOAD = """
import sys
import numpy as np
import tflm.models
import keras
ids = np.load("ids.npy")
for name in sys.argv[1:]:
    model = keras.models.load_model(name + ".keras")
    np.save(name + ".npy", model(ids))
"""


def random_model(kind, **options):
    """A small model none of whose weights, biases included, is zero."""
    options = {"units": 8, "embedding_dim": 5, **options}
    model = kind(vocabulary_size=SIZE, **options)
    random = np.random.default_rng(1)
    model.set_weights(
        [random.normal(0, 0.5, weight.shape) for weight in model.weights]
    )
    return model


def random_ids(*shape, seed=0):
    return np.random.default_rng(seed).integers(SIZE, size=shape)


def random_mask(batch_size, length, seed=3):
    """A row all masked, one not at all, others with holes everywhere."""
    mask = np.random.default_rng(seed).random([batch_size, length]) < 0.6
    mask[0], mask[1] = False, True
    return mask


def input_weights(model):
    """The variable of which row i takes part where the id i is read."""
    if model.embedding is not None:
        return model.embedding.embeddings
    return model.recurrent[0].scan.cell.kernel


def input_gradient(model, function):
    """The gradient of a function with respect to `input_weights`."""
    with tf.GradientTape() as tape:
        total = function()
    return tf.convert_to_tensor(
        tape.gradient(total, input_weights(model))
    ).numpy()


def assert_close_states(found, expected, tolerance=1e-5):
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_allclose(
            values, expected[name], atol=tolerance, err_msg=name
        )


def brute_logits(model, ids):
    """Logits [T,V] of ids [T] by NumPy, from the recurrent layers' outputs.

    The layers' own arithmetic is tested with them.
    """
    eye = np.eye(SIZE, dtype=np.float32)
    table = eye if model.embedding is None else model.embedding.get_weights()[0]
    hidden = table[ids][np.newaxis]  # [1,T,D]
    for layer in model.recurrent:
        zeros = tuple(np.zeros([1, 8], np.float32) for _ in layer.state_names)
        hidden = layer(hidden, zeros)[0].numpy()
    if model.projection is not None:
        kernel, bias = model.projection.get_weights()
        return (hidden @ kernel + bias)[0]
    if model.bridge is not None:
        hidden = hidden @ model.bridge.get_weights()[0]
    return (hidden @ table.T + model.output_bias.numpy())[0]


@every_kind
@every_form
@pytest.mark.parametrize("num_layers", [1, 3])
def test_logits_are_those_of_the_parts(kind, form, num_layers):
    model = random_model(kind, num_layers=num_layers, **FORMS[form])
    assert (model.bridge is not None) == (form == "bridge")
    ids = random_ids(2, 5)
    logits = model(ids)
    assert logits.shape == (2, 5, SIZE) and logits.dtype == tf.float32
    for row, row_ids in zip(logits, ids, strict=True):
        np.testing.assert_allclose(row, brute_logits(model, row_ids), atol=1e-4)


@every_kind
@pytest.mark.parametrize(
    ("form", "num_layers"),
    [
        ("plain", 1),
        ("plain", 2),
        ("plain", 3),
        ("one_hot", 1),
        ("tied", 2),
        ("bridge", 3),
    ],
)
@pytest.mark.parametrize("sizes", [[1] * 8, [0, 3, 1, 0, 4, 0]])
def test_pieces_equal_one_pass(kind, form, num_layers, sizes):
    model = random_model(kind, num_layers=num_layers, **FORMS[form])
    ids = random_ids(2, 8)
    whole, last = model(ids, return_state=True)
    state, logits = None, []
    for piece in np.split(ids, np.cumsum(sizes)[:-1], axis=1):
        part, state = model(piece, initial_state=state, return_state=True)
        logits.append(part)
    np.testing.assert_allclose(tf.concat(logits, axis=1), whole, atol=1e-4)
    assert_close_states(state, last)


@every_kind
def test_masked_pieces_equal_one_masked_pass(kind):
    model = random_model(kind, num_layers=2)
    ids, mask = random_ids(4, 12), random_mask(4, 12)
    whole, last = model(ids, mask=mask, return_state=True)
    state, logits, bounds = None, [], [1, 2, 6]
    pieces = zip(
        np.split(ids, bounds, axis=1),
        np.split(mask, bounds, axis=1),
        strict=True,
    )
    for piece, there in pieces:
        part, state = model(
            piece, mask=there, initial_state=state, return_state=True
        )
        logits.append(part)
    logits = tf.concat(logits, axis=1).numpy()
    np.testing.assert_allclose(logits[mask], whole.numpy()[mask], atol=1e-4)
    assert_close_states(state, last)


@every_kind
@every_form
def test_masked_positions_count_as_if_not_there(kind, form):
    model = random_model(kind, num_layers=2, **FORMS[form])
    ids, mask = random_ids(5, 9), random_mask(5, 9)
    logits, state = model(ids, mask=mask, return_state=True)
    for row in range(1, 5):
        alone = ids[row][mask[row]][np.newaxis]
        expected, expected_state = model(alone, return_state=True)
        found = logits[row].numpy()[mask[row]]
        np.testing.assert_allclose(found, expected[0], atol=1e-4)
        row_state = {name: v[row : row + 1] for name, v in state.items()}
        assert_close_states(row_state, expected_state)
    nothing_read = {name: values[:1] for name, values in state.items()}
    assert_close_states(nothing_read, model.get_initial_state(1), tolerance=0)


@every_kind
@pytest.mark.parametrize("side", ["left", "right"])
def test_unequal_prompts_equal_each_alone(kind, side):
    model = random_model(kind)
    lengths = np.array([1, 6, 3, 8])
    mask = np.arange(8) < lengths[:, np.newaxis]
    if side == "left":
        mask = mask[:, ::-1].copy()
    ids, more = random_ids(4, 8), random_ids(4, 3, seed=7)
    _, state = model(ids, mask=mask, return_state=True)
    together = model(more, initial_state=state)
    assert state["position"].numpy().tolist() == lengths.tolist()
    for row in range(4):
        prompt = ids[row][mask[row]]
        text = np.concatenate([prompt, more[row]])[np.newaxis]
        alone = model(text)[0, len(prompt) :]
        np.testing.assert_allclose(together[row], alone, atol=1e-4)


@every_kind
@pytest.mark.parametrize("form", ["plain", "few_ids", "one_hot"])
@pytest.mark.parametrize("training", [False, True])
def test_masked_position_gives_no_gradient(kind, form, training):
    model = random_model(kind, num_layers=2, **FORMS[form])
    # Ids 0 to 5 are read; 6 to 11 stand where nothing is.
    ids = np.array([[0, 6, 1, 7, 2, 8], [9, 3, 10, 4, 11, 5]])
    mask = ids < 6

    def total():
        logits, state = model(
            ids, mask=mask, return_state=True, training=training
        )
        return tf.reduce_sum(logits**2) + sum(
            tf.reduce_sum(values)
            for name, values in state.items()
            if name != "position"
        )

    gradient = input_gradient(model, total)
    assert not gradient[6:].any()
    assert gradient[:6].any(axis=1).all()


@every_kind
@pytest.mark.parametrize("training", [False, True])
def test_masked_single_position_gives_no_gradient(kind, training):
    model = random_model(kind)
    ids, mask = np.array([[3], [4]]), np.array([[True], [False]])

    def total():
        logits = model(ids, mask=mask, training=training)
        return tf.reduce_sum(logits**2)

    gradient = input_gradient(model, total)
    assert gradient[3].all() and not gradient[4].any()


@every_kind
@pytest.mark.parametrize("form", ["plain", "one_hot"])
@pytest.mark.parametrize("t", [0, 2, 5])
def test_logits_depend_on_what_was_read_and_nothing_else(kind, form, t):
    model = random_model(kind, num_layers=2, **FORMS[form])
    ids = np.arange(6)[np.newaxis]
    gradient = input_gradient(
        model, lambda: tf.reduce_sum(model(ids)[:, t] ** 2)
    )
    assert gradient[: t + 1].any(axis=1).all()
    assert not gradient[t + 1 :].any()


@every_kind
@every_form
def test_later_ids_change_no_earlier_logits(kind, form):
    model = random_model(kind, **FORMS[form])
    ids = random_ids(1, 8)
    changed = ids.copy()
    changed[:, 5:] = (ids[:, 5:] + 1) % SIZE
    one, other = model(ids).numpy(), model(changed).numpy()
    np.testing.assert_array_equal(one[:, :5], other[:, :5])
    assert (one[:, 5:] != other[:, 5:]).any(axis=-1).all()


@every_kind
def test_initial_state_is_zero_and_named(kind):
    state = random_model(kind, num_layers=2).get_initial_state(3)
    names = [
        f"layer_{index}_{name}"
        for index in range(2)
        for name in kind.layer.state_names
    ]
    assert list(state) == ["position", *names]
    assert not any(values.numpy().any() for values in state.values())
    assert state.pop("position").shape == (3,)
    assert {tuple(values.shape) for values in state.values()} == {(3, 8)}


@every_kind
def test_initial_state_is_the_default(kind):
    model, ids = random_model(kind), random_ids(2, 4)
    given = model(ids, initial_state=model.get_initial_state(2))
    np.testing.assert_array_equal(model(ids), given)


@every_kind
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    ("length", "training"), [(1, False), (4, False), (4, True)]
)
def test_state_is_float32_or_int32_whatever_the_policy(
    kind, dtype, length, training
):
    model = random_model(kind, num_layers=2, dtype=dtype)
    before = model.get_initial_state(2)
    # More digits than bfloat16 has: it would round them.
    before = {**before, "position": tf.constant([1_000_001, 7])}
    logits, state = model(
        random_ids(2, length),
        initial_state=before,
        return_state=True,
        training=training,
    )
    assert logits.dtype == tf.float32
    assert list(state) == list(before)
    position = state.pop("position")
    assert position.dtype == tf.int32
    assert position.numpy().tolist() == [1_000_001 + length, 7 + length]
    assert {values.dtype for values in state.values()} == {tf.float32}


@every_kind
def test_bfloat16_is_close_to_float32(kind):
    exact, rough = (
        random_model(kind, dtype=dtype)
        for dtype in ("float32", "mixed_bfloat16")
    )
    ids = random_ids(2, 6)
    difference = np.abs(exact(ids) - rough(ids)).max()
    assert 1e-6 < difference < 0.1


@every_kind
@every_form
def test_config_makes_an_equal_model(kind, form):
    options = {"units": 8, "num_layers": 2, "dropout": 0.25, **FORMS[form]}
    model = random_model(kind, **options, name="own", dtype="mixed_bfloat16")
    found = model.get_config()
    expected = {**options, "vocabulary_size": SIZE, "name": "own"}
    assert {name: found[name] for name in expected} == expected
    again = kind.from_config(found)
    assert again.get_config() == found
    assert again.compute_dtype == "bfloat16"
    again.set_weights(model.get_weights())
    ids = random_ids(2, 5)
    np.testing.assert_array_equal(again(ids), model(ids))


@pytest.mark.parametrize("kind", KINDS)
def test_file_of_a_saved_model_has_the_names_it_always_had(kind, tmp_path):
    """Else runs of earlier versions could not be opened."""
    model = kind(vocabulary_size=SIZE, embedding_dim=4, units=3, num_layers=2)
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        saved = io.BytesIO(archive.read("model.weights.h5"))
    found: list[str] = []
    with h5py.File(saved) as file:
        file.visit(found.append)
    name = {"SimpleRNN": "simple_rnn"}.get(kind.__name__, kind.__name__.lower())
    for entry in (name, f"{name}_1"):
        assert f"layers/{entry}/scan/cell/vars/2" in found


def test_saved_models_give_equal_logits_in_a_fresh_process(tmp_path):
    ids = random_ids(2, 7)
    np.save(tmp_path / "ids.npy", ids)
    expected = {}
    for kind in KINDS:
        for form, options in FORMS.items():
            name = f"{kind.__name__}_{form}"
            model = random_model(kind, num_layers=2, **options)
            model.save(tmp_path / f"{name}.keras")
            expected[name] = model(ids)
    subprocess.run(
        [sys.executable, "-c", LOAD, *expected], cwd=tmp_path, check=True
    )
    for name, logits in expected.items():
        loaded = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_array_equal(loaded, logits, err_msg=name)


@pytest.mark.parametrize("kind", [models.GRU, models.LSTM])
def test_fit_and_evaluate_count_weights(kind):
    keras.utils.set_random_seed(0)
    model = random_model(kind)
    inputs, targets = random_ids(6, 5), random_ids(6, 5, seed=1)
    weights = (random_ids(6, 5, seed=2) % 3).astype(np.float32)
    # The loss that Keras makes of them: each token's nats times its weight.
    log_probabilities = tf.nn.log_softmax(model(inputs)).numpy()
    nats = -np.take_along_axis(
        log_probabilities, targets[..., np.newaxis], axis=-1
    )[..., 0]
    expected = (nats * weights).sum() / weights.sum()
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
    )
    loss = model.evaluate(inputs, targets, sample_weight=weights, verbose=0)
    assert loss == pytest.approx(expected, rel=1e-5)
    batches = tf.data.Dataset.from_tensors((inputs, targets, weights))
    history = model.fit(batches, epochs=20, shuffle=False, verbose=0)
    losses = history.history["loss"]
    assert losses[0] == pytest.approx(expected, rel=1e-5)
    assert losses[-1] < 0.9 * losses[0]


def test_weights_are_made_at_once_and_all_learn():
    model = models.LSTM(
        vocabulary_size=SIZE, embedding_dim=5, units=8, tie_embeddings=True
    )
    table, layer, bridge, bias = SIZE * 5, 4 * 8 * (5 + 8 + 1), 8 * 5, SIZE
    assert model.count_params() == table + layer + bridge + bias
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(random_ids(2, 5), training=True) ** 2)
    gradients = tape.gradient(total, model.trainable_variables)
    assert len(gradients) == len(model.weights) == 6
    assert all(gradient is not None for gradient in gradients)


def test_dropout_is_for_training_only():
    model, ids = random_model(models.GRU, dropout=0.5), random_ids(2, 5)
    without = random_model(models.GRU, dropout=0.0)
    np.testing.assert_array_equal(model(ids), without(ids))
    np.testing.assert_array_equal(model(ids, training=False), without(ids))
    first, second = model(ids, training=True), model(ids, training=True)
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_allclose(
        without(ids, training=True), without(ids), atol=1e-5
    )


@every_kind
@pytest.mark.parametrize("form", ["few_ids", "tied"])
def test_training_gives_the_gradients_of_kerass_loop(kind, form):
    model = random_model(kind, num_layers=2, **FORMS[form])
    ids, mask = random_ids(3, 6), tf.constant(random_mask(3, 6))
    state = model.get_initial_state(3)

    def found(training):
        with tf.GradientTape() as tape:
            logits, after = model(
                ids,
                mask=mask,
                initial_state=state,
                return_state=True,
                training=training,
            )
            total = tf.reduce_sum(tf.boolean_mask(logits, mask) ** 2)
        variables = model.trainable_variables
        gradients = tape.gradient(total, variables)
        return [total, *map(tf.convert_to_tensor, gradients), *after.values()]

    for one, other in zip(found(True), found(False), strict=True):
        one, other = (tf.cast(part, tf.float32) for part in (one, other))
        assert float(tf.norm(one - other) / tf.norm(other)) < 1e-5


@pytest.mark.parametrize(
    ("options", "of_ids"),
    [
        ({"embedding_dim": SIZE}, True),
        ({"embedding_dim": SIZE - 1}, False),
        ({"embedding_dim": SIZE, "dropout": 0.1}, False),
        ({"embedding_dim": 0}, False),
    ],
)
def test_few_ids_are_projected_once_where_nothing_is_dropped(
    options, of_ids, monkeypatch
):
    received = []
    scan = layers.scans.scan

    def watched(cell, inputs, *others):
        received.append((inputs.dtype.is_integer, inputs.shape[2:]))
        return scan(cell, inputs, *others)

    monkeypatch.setattr(layers.scans, "scan", watched)
    random_model(models.GRU, **options)(random_ids(2, 3), training=True)
    width = [] if of_ids else [options["embedding_dim"] or SIZE]
    assert received == [(of_ids, width)]


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_ids_of_any_type_train(dtype):
    model = random_model(models.GRU, **FORMS["few_ids"])
    ids = random_ids(2, 3)
    expected = model(ids, training=True)
    found = model(ids.astype(dtype), training=True)
    np.testing.assert_array_equal(found, expected)


@every_form
def test_id_that_is_none_is_told_in_training(form):
    if form == "one_hot":
        pytest.skip("`tf.one_hot` makes zeros of it")
    model = random_model(models.GRU, **FORMS[form])
    with pytest.raises(tf.errors.InvalidArgumentError, match=str(SIZE)):
        model(tf.constant([[1, SIZE]]), training=True)


def test_tied_embeddings_need_an_embedding():
    with pytest.raises(
        ValueError, match="`tie_embeddings` needs an embedding.*embedding_dim=0"
    ):
        models.GRU(vocabulary_size=SIZE, embedding_dim=0, tie_embeddings=True)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("simple_rnn", models.SimpleRNN),
        ("gru", models.GRU),
        ("lstm", models.LSTM),
    ],
)
def test_settings_choose_kind_and_shape(name, kind):
    settings = config.ModelConfig(
        model=name,
        embedding_dim=4,
        units=8,
        num_layers=2,
        dropout=0.5,
        tie_embeddings=True,
    )
    model = models.build(settings, vocabulary_size=9, dtype="mixed_bfloat16")
    assert type(model) is models.KINDS[name] is kind
    assert (model.vocabulary_size, model.embedding_dim, model.units) == (
        9,
        4,
        8,
    )
    assert (model.num_layers, model.dropout) == (2, 0.5)
    assert model.tie_embeddings and model.compute_dtype == "bfloat16"


def test_every_kind_can_be_chosen():
    assert set(models.KINDS) == set(config.MODELS)
