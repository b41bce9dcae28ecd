"""Training speed of a recurrent model beside stock Keras, in one run.

    python benchmarks/train_step.py --units 512 --batch_size 64

Ours is the model and the loop of `tflm.train`; theirs is the same network of
`keras.layers`, trained by `fit` on the same batches with the same optimizer.
Both train from the same weights first, and the losses must agree. Then they
take turns, because a shared machine is never equally fast twice.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

from tflm.command_line import noise

noise.import_tensorflow_quietly()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from tflm import models  # noqa: E402
from tflm.config import ModelConfig, TrainingConfig  # noqa: E402
from tflm.training import device, loop  # noqa: E402

VOCABULARY = 65


class RandomBatches:
    """Stands for `pipelines.Windows`: batches of random ids."""

    carries = False

    def __init__(self, batch_size: int, seq_len: int):
        self.shape = shape = (batch_size, seq_len)
        ids = np.random.default_rng(0).integers(4, VOCABULARY, shape)
        self.batch = (
            ids.astype(np.int32),
            np.roll(ids, -1, axis=1).astype(np.int32),
            np.ones(shape, np.float32),
        )

    def dataset(self, *unused) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(self.batch).repeat()

    def steps(self, epochs: int) -> int:
        return 100 * epochs

    def epoch(self, step: int) -> float:
        return step / 100


def optimizer(model: keras.Model) -> keras.Optimizer:
    made = keras.optimizers.AdamW(1e-3, global_clipnorm=1.0)
    made.build(model.trainable_variables)
    return made


def ours(options: argparse.Namespace, batches: RandomBatches):
    """Our model and a function that trains it for some steps."""
    settings = ModelConfig(
        model=options.model, embedding_dim=256, units=options.units
    )
    policy = device.dtype_policy(options.precision)
    model = models.build(settings, VOCABULARY, policy)
    model.compile(optimizer(model))
    training = TrainingConfig(schedule="constant", learning_rate=1e-3)
    trainer = loop.Loop(model, batches, training, dict, [], None)
    iterator = iter(batches.dataset())

    def train(steps: int) -> list[float]:
        losses = []
        for _ in range(steps):
            nats, tokens = trainer._train_step(*next(iterator))
            losses.append(float(nats) / float(tokens))
        return losses

    return model, train


def theirs(options: argparse.Namespace, batches: RandomBatches):
    """Stock Keras and a function that fits it for some steps."""
    policy = device.dtype_policy(options.precision)
    layer = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[options.model]
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(VOCABULARY, 256, dtype=policy),
            layer(options.units, return_sequences=True, dtype=policy),
            keras.layers.Dense(VOCABULARY, dtype=policy),
            keras.layers.Activation("linear", dtype="float32"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    model.compile(optimizer(model), loss)

    def train(steps: int) -> list[float]:
        losses: list[float] = []
        note = keras.callbacks.LambdaCallback(
            on_train_batch_begin=lambda batch, logs: model.reset_metrics(),
            on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]),
        )
        data = batches.dataset()
        model.fit(data, steps_per_epoch=steps, callbacks=[note], verbose=0)
        return losses

    return model, train


def speed(train, options: argparse.Namespace) -> float:
    began = time.perf_counter()
    train(options.steps)
    seconds = time.perf_counter() - began
    return options.steps * options.batch_size * options.seq_len / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=["gru", "lstm"], default="gru")
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--seq_len", type=int, default=128)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--results", type=Path, help="append the figures here")
    options = parser.parse_args()
    options.precision = device.resolve(options.precision)
    batches = RandomBatches(options.batch_size, options.seq_len)
    our_model, our_train = ours(options, batches)
    their_model, their_train = theirs(options, batches)
    their_model.set_weights(our_model.get_weights())
    pairs = zip(our_train(5), their_train(5), strict=True)
    difference = max(abs(a - b) for a, b in pairs)
    assert difference < 0.05, f"not the same model: {difference} nats"
    runs = [
        (speed(our_train, options), speed(their_train, options))
        for _ in range(options.pairs)
    ]
    ratios = sorted(a / b for a, b in runs)
    figures = {
        "row": f"{options.model}-{options.units} {options.precision} "
        f"{options.batch_size} x {options.seq_len}",
        "ours_tokens_per_second": round(statistics.median(r[0] for r in runs)),
        "fit_tokens_per_second": round(statistics.median(r[1] for r in runs)),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        "loss_difference": difference,
        "machine": f"{platform.machine()}, {device.describe()}",
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    print(json.dumps(figures))
    if options.results:
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
