"""Gives requests to an export, with TensorFlow alone, and tells what came.

python -I answer_requests.py EXPORT < requests.pickle > outcomes.json
"""

import json
import pickle
import sys
import time

sys.modules["tflm"] = None
import tensorflow as tf  # noqa: E402

signatures = tf.saved_model.load(sys.argv[1]).signatures
outcomes = []
for name, values in pickle.load(sys.stdin.buffer):
    inputs = {
        key: tf.constant(value, tf.string if value.dtype == object else None)
        for key, value in values.items()
    }
    begun = time.monotonic()
    try:
        answer = signatures[name](**inputs)
        outcome = {
            key: tensor.shape.as_list() for key, tensor in answer.items()
        }
    except tf.errors.InvalidArgumentError as error:
        outcome = error.message
    outcomes.append([outcome, time.monotonic() - begun])
json.dump(outcomes, sys.stdout)
