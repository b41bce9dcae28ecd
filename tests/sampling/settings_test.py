import math

import numpy as np
import pytest
import tensorflow as tf

from tflm import sampling

InvalidArgument = tf.errors.InvalidArgumentError

BROKEN = [
    ("temperature", -0.5, r"`temperature` must be finite and at least 0"),
    ("temperature", math.nan, r"finite and at least 0.*temperature=.*nan"),
    ("temperature", math.inf, r"finite and at least 0.*temperature=.*inf"),
    ("temperature", [1.0, 0.5, -3.0], r"temperature=.*\[-3\]"),
    ("top_k", -1, r"`top_k` must be from 0 .*top_k=.*-1"),
    ("top_p", 0.0, r"`top_p` must be above 0 and at most 1.*top_p=.*0"),
    ("top_p", 1.5, r"`top_p` must be above 0 and at most 1.*top_p=.*1.5"),
    ("top_p", math.nan, r"`top_p` must be above 0 and at most 1.*nan"),
    ("seed", -2, r"`seed` must be from -1 .*seed=.*-2"),
    ("seed", [0, 1, -7], r"seed=.*\[-7\]"),
    ("max_new_tokens", -1, r"`max_new_tokens` must be from 0 .*=.*-1"),
    ("temperature", [1.0, 1.0], r"`temperature` must be one number or one a"),
    ("top_k", [1], r"one a row. Received: shape=.*\[1\].*rows of.*3"),
    ("seed", [1, 2], r"`seed` must be one number or one a row"),
    ("top_p", [[1.0], [1.0], [1.0]], r"`top_p` must be one number or one a"),
]


@pytest.fixture(params=["eager", "graph"])
def checked_rows(request):
    """As in an export: the rank of a setting is not known in the graph."""
    if request.param == "eager":
        return sampling.checked_rows

    def check(name, value, batch_size):
        @tf.function(
            input_signature=[
                tf.TensorSpec(None, sampling.SETTINGS[name].dtype),
                tf.TensorSpec([], tf.int32),
            ]
        )
        def graph(value, batch_size):
            return sampling.checked_rows(name, value, batch_size)

        return graph(value, batch_size)

    return check


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seed", 2**40 + 5, "to 2147483647. Received: seed=1099511627781"),
        ("seed", np.uint32(2**32 - 1), "Received: seed=4294967295"),
        ("seed", [1, -(2**80)], f"Received: seed=-{2**80}"),
        ("max_new_tokens", 2**32 + 2, "Received: max_new_tokens=4294967298"),
        ("k", np.array([1, 2**31]), "from 1 .*Received: k=2147483648"),
    ],
)
def test_number_that_does_not_fit_is_not_made_another(name, value, message):
    for read in (sampling.as_tensor, lambda *a: sampling.checked_rows(*a, 2)):
        with pytest.raises(InvalidArgument, match=message):
            read(name, value)


@pytest.mark.parametrize(("name", "value", "message"), BROKEN)
def test_broken_rule_is_refused(checked_rows, name, value, message):
    with pytest.raises(InvalidArgument, match=f"(?s){message}"):
        checked_rows(name, value, 3)


@pytest.mark.parametrize(
    ("name", "value", "rows"),
    [
        ("temperature", 0.0, [0, 0, 0]),
        ("temperature", [0.5, 0, 2], [0.5, 0, 2]),
        ("top_k", 7, [7, 7, 7]),
        ("top_p", 1.0, [1, 1, 1]),
        ("seed", [-1, 0, 5], [-1, 0, 5]),
        ("max_new_tokens", 0, [0, 0, 0]),
    ],
)
def test_sound_values_become_rows(checked_rows, name, value, rows):
    assert checked_rows(name, value, 3).numpy().tolist() == rows


def test_check_runs_though_its_values_are_not_used():
    @tf.function
    def count(temperature):
        sampling.row_settings(1, temperature=temperature)
        return 1

    with pytest.raises(InvalidArgument, match="`temperature` must be finite"):
        count(tf.constant(-1.0))


def test_row_settings_are_those_of_each_row():
    settings = sampling.row_settings(
        2, temperature=0.5, top_k=[1, 2], top_p=1.0, seed=[8, 3]
    )
    rows = [field.numpy().tolist() for field in settings]
    assert rows == [[0.5, 0.5], [1, 2], [1.0, 1.0], [8, 3]]
