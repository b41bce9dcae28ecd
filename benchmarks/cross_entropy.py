"""Loss and gradients of an output layer of many words, three ways, in turns.

    python benchmarks/cross_entropy.py --vocabulary_size 13781 --width 256

`whole` holds all logits, as TensorFlow's own operation needs it; `sliced` is
what training takes; `sampled` is `--num_sampled`. All three give the loss, the
gradient of the hidden states and that of the weights.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from tflm.command_line import noise

noise.import_tensorflow_quietly()

import tensorflow as tf  # noqa: E402

from tflm.layers import cross_entropy, sampled_softmax  # noqa: E402
from tflm.training import device  # noqa: E402


def whole(hidden, table, bias, targets, weights):
    logits = tf.matmul(hidden, tf.cast(table, hidden.dtype), transpose_b=True)
    logits = tf.cast(logits, tf.float32) + bias
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    return tf.reduce_sum(nats * weights)


def with_gradients(function: Callable, tensors: list, labels: list) -> Callable:
    @tf.function
    def run():
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss = function(*tensors, *labels)
        gradients = tape.gradient(loss, tensors)
        return loss, *(tf.convert_to_tensor(g) for g in gradients)

    return run


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of each way, the median of its turns."""
    count, width = options.targets, options.width
    size = options.vocabulary_size
    dtype = tf.as_dtype(options.dtype)
    hidden = tf.cast(tf.random.normal([count, width]) / 2, dtype)
    tensors = [hidden, tf.random.normal([size, width]) / 20, tf.zeros([size])]
    labels = [
        tf.random.uniform([count], 0, size, tf.int32),
        tf.ones([count]),
    ]
    sample = [*labels, options.num_sampled, tf.constant([1, 2])]
    ways = {
        "whole": with_gradients(whole, tensors, labels),
        "sliced": with_gradients(cross_entropy.summed_nats, tensors, labels),
        "sampled": with_gradients(sampled_softmax.summed_nats, tensors, sample),
    }
    losses = {name: float(run()[0]) for name, run in ways.items()}
    assert abs(losses["sliced"] / losses["whole"] - 1) < 1e-3, losses
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.turns):
        for name, run in ways.items():
            began = time.perf_counter()
            run()[1].numpy()
            seconds[name].append(time.perf_counter() - began)
    return {n: statistics.median(values) for n, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocabulary_size", type=int, default=13781)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--targets", type=int, default=4096)
    parser.add_argument("--num_sampled", type=int, default=2048)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    seconds = measure(options)
    row = {
        **{n: v for n, v in vars(options).items() if n != "results"},
        "device": device.describe(),
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "sliced_ratio": round(seconds["whole"] / seconds["sliced"], 2),
        "sampled_ratio": round(seconds["whole"] / seconds["sampled"], 2),
    }
    print(json.dumps(row, indent=2))
    if options.results:
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
