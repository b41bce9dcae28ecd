import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.training.adamw import AdamW

SHAPES = [(7, 5), (5,), (), (3, 2, 4)]


def drawn(seed):
    draw = np.random.default_rng(seed).normal
    return [np.asarray(draw(size=shape)) for shape in SHAPES]


def by_formula(steps, rates, decay, clipnorm, epsilon=1e-7, betas=(0.9, 0.999)):
    """Weights after steps in float64, as the paper and Keras have them."""
    weights = drawn(0)
    first, second = ([np.zeros(s) for s in SHAPES] for _ in range(2))
    for step in range(1, steps + 1):
        gradients = drawn(step)
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        scale = min(1.0, clipnorm / norm) if clipnorm else 1.0
        rate = rates[step - 1]
        for index, gradient in enumerate(gradients):
            gradient = gradient * scale
            weights[index] = weights[index] * (1 - rate * decay)
            for moment, beta, value in zip(
                (first, second), betas, (gradient, gradient**2), strict=True
            ):
                moment[index] = beta * moment[index] + (1 - beta) * value
            corrected = rate * np.sqrt(1 - betas[1] ** step)
            corrected /= 1 - betas[0] ** step
            weights[index] = weights[index] - corrected * first[index] / (
                np.sqrt(second[index]) + epsilon
            )
    return weights


def trained(kind, steps, rates, wrap=lambda function: function, **options):
    weights = [
        keras.Variable(weight, dtype="float32", name=f"weight_{index}")
        for index, weight in enumerate(drawn(0))
    ]
    optimizer = kind(rates[0], **options)
    optimizer.build(weights)

    @wrap
    def apply(*gradients):
        optimizer.apply(list(gradients), weights)

    for step in range(1, steps + 1):
        optimizer.learning_rate = rates[step - 1]
        apply(*(tf.constant(g, tf.float32) for g in drawn(step)))
    return optimizer, [np.asarray(w) for w in weights]


RATES = [0.1, 0.01, 0.2, 0.05, 0.1]


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
@pytest.mark.parametrize("clipnorm", [None, 0.5, 1e3])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_steps_are_the_formulas(decay, clipnorm, wrap):
    _, weights = trained(
        AdamW, 5, RATES, wrap, weight_decay=decay, global_clipnorm=clipnorm
    )
    expected = by_formula(5, RATES, decay, clipnorm)
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2},
        {"amsgrad": True},
        {"clipnorm": 0.2},
        {"clipvalue": 0.1},
        {"use_ema": True, "ema_overwrite_frequency": 2},
        {"gradient_accumulation_steps": 2},
    ],
    ids=str,
)
def test_options_do_what_they_do_in_keras(options):
    ours, weights = trained(AdamW, 5, RATES, **options)
    keras_s, expected = trained(keras.optimizers.AdamW, 5, RATES, **options)
    # Keras's 1 - beta_2 and the power of it that corrects the bias are rounded
    # apart, by 5e-5 of themselves: by as much of a step its weights differ.
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    names = [(v.name, v.shape) for v in ours.variables]
    assert names == [(v.name, v.shape) for v in keras_s.variables]
    for one, other in zip(ours.variables, keras_s.variables, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_gradient_in_slices_counts_ids_that_come_twice():
    weights = []
    for dense in (False, True):
        weight = keras.Variable(np.ones((4, 2)), dtype="float32")
        gradient = tf.IndexedSlices(
            tf.constant([[1.0, 2.0], [3.0, -1.0], [0.5, 0.25]]),
            tf.constant([2, 0, 2]),
            tf.constant([4, 2]),
        )
        if dense:
            gradient = tf.convert_to_tensor(gradient)
        optimizer = AdamW(0.1, weight_decay=0.0, epsilon=1.0)
        optimizer.apply([gradient], [weight])
        weights.append(np.asarray(weight))
    np.testing.assert_array_equal(*weights)
    # Adam's first step, both moments corrected, with an epsilon of 1.
    sums = np.array([[3, -1], [0, 0], [1.5, 2.25], [0, 0]])
    root = np.sqrt(0.001) * np.abs(sums)
    step = 0.1 * np.sqrt(0.001) / 0.1 * 0.1 * sums / (root + 1)
    np.testing.assert_allclose(weights[0], 1 - step, rtol=1e-5)


def test_no_weight_is_spared_by_a_gradient_that_is_not_finite():
    weights = [keras.Variable([1.0]), keras.Variable([2.0])]
    optimizer = AdamW(0.1, global_clipnorm=1.0)
    infinite = tf.constant([np.inf])
    optimizer.apply([infinite, tf.constant([1.0])], weights)
    assert all(np.isnan(np.asarray(w)).all() for w in weights)


def test_is_saved_and_made_anew_as_itself():
    optimizer = AdamW(0.02, weight_decay=0.3, beta_2=0.98, global_clipnorm=2.0)
    config = keras.saving.serialize_keras_object(optimizer)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is AdamW
    assert again.get_config() == optimizer.get_config()
