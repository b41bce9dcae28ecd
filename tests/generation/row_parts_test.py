import numpy as np
import pytest
import tensorflow as tf

from tflm.generation.row_parts import joined, row_parts


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_size", [0, 1, 2, 5, 6, 9])
def test_each_row_is_the_own_one_of_one_part(batch_size, count):
    rows = {
        "id": tf.range(batch_size),
        "pair": tf.reshape(tf.range(2 * batch_size), [batch_size, 2]),
    }
    parts = row_parts(tf.constant(batch_size), count)
    assert len(parts) == count
    given = [part.of(rows) for part in parts]
    sizes = {len(part["id"]) for part in given}
    assert sizes == {-(-batch_size // count)}  # one size, one kernel
    own = [
        part["id"].numpy()[taken.own.numpy()]
        for part, taken in zip(given, parts, strict=True)
    ]
    assert np.concatenate(own).tolist() == list(range(batch_size))
    whole = joined(parts, given)
    for name, tensor in rows.items():
        assert whole[name].numpy().tolist() == tensor.numpy().tolist()
