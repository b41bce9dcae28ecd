"""Training speed and memory beside stock Keras, KerasHub and PyTorch.

    python benchmarks/train_step.py --row gru-1024 --precision bfloat16

Ours is the model and the loop of `tflm.train`. The peers are the same network
of `keras.layers`, or KerasHub's decoder, under `fit`, and of PyTorch's own
parts with fused Adam and autocast, if it is installed (`pip install
.[peers]`). All train on one batch with the same optimizer, each in a process of
its own. First all begin with our weights, and the losses must agree; the GPTs
are compared without positions then, which differ. Then the sides take turns,
because a shared machine is never equally fast twice.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import has_torch, report, resident
from sides import Side, speeds, take_turns

VOCABULARY = 65
# Kind, shape of the model, batch size, length.
ROWS = {
    "gru-1024": ("gru", {"embedding_dim": 256, "units": 1024}, 64, 100),
    "lstm-1024": ("lstm", {"embedding_dim": 256, "units": 1024}, 64, 100),
    "gpt-small": (
        "gpt",
        {"embedding_dim": 128, "num_layers": 4, "num_heads": 4, "context": 64},
        12,
        64,
    ),
    "gpt-baby": (
        "gpt",
        {"embedding_dim": 384, "num_layers": 6, "num_heads": 6, "context": 256},
        16,
        256,
    ),
}
# In a block; a block takes some seconds on two cores.
STEPS = {"gru-1024": 10, "lstm-1024": 10, "gpt-small": 100, "gpt-baby": 8}
EPSILON = 1e-7  # of Adam
# float32 in another order, and rounded to bfloat16 at other places.
AGREES = {"float32": 1e-4, "bfloat16": 5e-3}


def batch_of(row: str) -> tuple[np.ndarray, np.ndarray]:
    *_, batch_size, length = ROWS[row]
    shape = batch_size, length
    ids = np.random.default_rng(0).integers(4, VOCABULARY, shape)
    return ids.astype(np.int32), np.roll(ids, -1, axis=1).astype(np.int32)


def our_model(row: str, precision: str, rotary: bool):
    from tflm import models
    from tflm.training import device

    kind, shape, *_ = ROWS[row]
    if kind == "gpt":
        shape = {**shape, "rotary": rotary}
    policy = device.dtype_policy(precision)
    made = models.KINDS[kind]
    return made(vocabulary_size=VOCABULARY, dtype=policy, **shape)


def ours(row: str, precision: str, weights: list, checked: bool):
    import tensorflow as tf

    from tflm.config import TrainingConfig
    from tflm.training import loop
    from tflm.training.adamw import AdamW

    class OneBatch:
        """Stands for `pipelines.Windows`."""

        carries = False
        shape = batch_of(row)[0].shape

        def dataset(self, *unused):
            ones = np.ones(self.shape, np.float32)
            batch = (*batch_of(row), ones)
            return tf.data.Dataset.from_tensors(batch).repeat()

        def steps(self, epochs):
            return 100 * epochs

        def epoch(self, step):
            return step / 100

    model = our_model(row, precision, rotary=not checked)
    model.set_weights(weights)
    optimizer = AdamW(
        1e-3, weight_decay=0.0, epsilon=EPSILON, global_clipnorm=1.0
    )
    optimizer.build(model.trainable_variables)
    model.compile(optimizer)
    settings = TrainingConfig(schedule="constant", learning_rate=1e-3)
    batches = OneBatch()
    parts = row_parts(row, precision)
    trainer = loop.Loop(model, batches, settings, dict, [], None, parts)
    iterator = iter(batches.dataset())

    def train(steps: int) -> list[float]:
        sums = [trainer.train_step(*next(iterator)) for _ in range(steps)]
        return [float(nats) / float(tokens) for nats, tokens in sums]

    return train


def row_parts(row: str, precision: str) -> int:
    """Of a batch, as `tflm.train` has them."""
    from tflm import config as configuration
    from tflm.training import device

    kind, shape, batch_size, _ = ROWS[row]
    given = {"batch_size": batch_size, "precision": precision, **shape}
    settings = configuration.from_flat({"model": kind, **given})
    return device.row_parts(settings)


def share_out_rows(row: str, precision: str) -> None:
    """As `tflm.train` does before TensorFlow computes anything."""
    from tflm.training import device

    device.share_out_rows(row_parts(row, precision))


def by_keras(row: str, precision: str, weights: list, checked: bool):
    import keras
    import tensorflow as tf

    from tflm.training import device

    kind, shape, *_ = ROWS[row]
    policy = device.dtype_policy(precision)
    if kind == "gpt":
        model = _keras_hub_gpt(shape, policy)
    else:
        layer = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[kind]
        model = keras.Sequential(
            [
                keras.Input((None,), dtype="int32"),
                keras.layers.Embedding(VOCABULARY, 256, dtype=policy),
                layer(shape["units"], return_sequences=True, dtype=policy),
                keras.layers.Dense(VOCABULARY, dtype=policy),
                keras.layers.Activation("linear", dtype="float32"),
            ]
        )
        model.set_weights(weights)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.Adam(1e-3, epsilon=EPSILON, global_clipnorm=1.0),
        loss,
    )
    data = tf.data.Dataset.from_tensors(batch_of(row)).repeat()
    # At the end `fit` would wait for what tunes the data: that sleeps for twice
    # as long each time, and made up to half of all seconds.
    options = tf.data.Options()
    options.autotune.enabled = False
    data = data.with_options(options)

    def train(steps: int) -> list[float]:
        losses: list[float] = []
        note = keras.callbacks.LambdaCallback(
            on_train_batch_begin=lambda batch, logs: model.reset_metrics(),
            on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]),
        )
        model.fit(data, steps_per_epoch=steps, callbacks=[note], verbose=0)
        return losses

    return train


def _keras_hub_gpt(shape: dict, policy: str):
    import keras
    import keras_nlp

    ids = keras.Input((None,), dtype="int32")
    embedding = keras_nlp.layers.TokenAndPositionEmbedding(
        VOCABULARY, shape["context"], shape["embedding_dim"], dtype=policy
    )
    hidden = embedding(ids)
    for _ in range(shape["num_layers"]):
        hidden = keras_nlp.layers.TransformerDecoder(
            4 * shape["embedding_dim"],
            shape["num_heads"],
            activation=lambda x: keras.activations.gelu(x, approximate=True),
            normalize_first=True,
            dtype=policy,
        )(hidden)
    hidden = keras.layers.LayerNormalization(dtype=policy)(hidden)
    logits = embedding.token_embedding(hidden, reverse=True)
    logits = keras.layers.Activation("linear", dtype="float32")(logits)
    return keras.Model(ids, logits)


def by_torch(
    row: str, precision: str, weights: list, checked: bool, compiled: bool
):
    import torch
    import torch_models

    torch.set_num_threads(os.cpu_count() or 1)
    kind, shape, *_ = ROWS[row]
    if kind == "gpt":
        sizes = shape["num_heads"], shape["context"]
        model = torch_models.GPT(*sizes, weights)
        model.positions.weight.requires_grad_(not checked)
    else:
        model = torch_models.Recurrent(kind, weights)
    if compiled:
        model = torch.compile(model)
    trainer = torch_models.Trainer(model, precision, EPSILON)
    inputs, targets = (torch.tensor(t).long() for t in batch_of(row))

    def train(steps: int) -> list[float]:
        return [trainer.step(inputs, targets) for _ in range(steps)]

    return train


SIDES = {
    "ours": ours,
    "keras": by_keras,
    "pytorch": lambda *given: by_torch(*given, compiled=False),
    "pytorch_compiled": lambda *given: by_torch(*given, compiled=True),
}


def work(
    side: str, row: str, precision: str, folder: Path, checked: bool
) -> None:
    """Answers lines of numbers of steps, for the process that compares.

    The first answer is the losses of a few steps where these are `checked`.
    """
    if side.startswith("pytorch"):
        import torch  # noqa: F401
    else:
        from tflm.command_line import noise

        share_out = functools.partial(share_out_rows, row, precision)
        noise.import_tensorflow_quietly(share_out if side == "ours" else None)
        import tflm.training  # noqa: F401
    bare = resident()
    with np.load(folder / "weights.npz") as kept:
        weights = [kept[name] for name in kept.files]
    train = SIDES[side](row, precision, weights, checked)
    print(json.dumps(train(4)), flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        train(int(line))
        answer = {
            "seconds": time.perf_counter() - began,
            "growth_mib": resident() - bare,
            "peak_mib": resident("VmHWM"),
        }
        print(json.dumps(answer), flush=True)


def compare(options: argparse.Namespace) -> dict:
    kind, _, batch_size, length = ROWS[options.row]
    names = [n for n in SIDES if n not in options.without]
    if not has_torch():
        names = [name for name in names if not name.startswith("pytorch")]
    chosen = ["--row", options.row, "--precision", options.precision]
    with tempfile.TemporaryDirectory() as folder:
        chosen += ["--folder", folder]
        # Made in a process of its own: the sides measure their memory.
        weights = [sys.executable, __file__, "--side", "weights", *chosen]
        subprocess.run(weights, check=True)
        # Keras's GPT has weights of its own.
        alike = [n for n in names if (kind, n) != ("gpt", "keras")]
        losses = {}
        for name in alike:  # in processes of their own: it would be in memory
            side = Side(__file__, ["--side", name, "--checked", *chosen])
            losses[name] = side.first
            side.end()
            difference = np.subtract(losses[name], losses["ours"])
            worst = float(np.abs(difference).max())
            assert worst < AGREES[options.precision], (name, worst)
        sides = {
            name: Side(__file__, ["--side", name, *chosen]) for name in names
        }
        turns = take_turns(sides, STEPS[options.row], options.pairs)
        for side in sides.values():
            side.end()
    figures: dict = {"row": f"{options.row} {options.precision}"}
    tokens = STEPS[options.row] * batch_size * length
    figures |= speeds(turns, tokens, "ours")
    for name in names:
        for measured in ("growth_mib", "peak_mib"):
            figures[f"{name}_{measured}"] = round(turns[-1][name][measured])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--row", choices=ROWS, default="gru-1024")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--pairs", type=int, default=5)
    # PyTorch's compiler takes a minute first; it was not faster.
    parser.add_argument(
        "--without", nargs="*", default=["pytorch_compiled"], choices=SIDES
    )
    parser.add_argument("--results", type=Path, help="append the figures here")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument(
        "--checked", action="store_true", help=argparse.SUPPRESS
    )
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side == "weights":
        model = our_model(options.row, "float32", rotary=False)
        np.savez(options.folder / "weights.npz", *model.get_weights())
        return
    if options.side:
        chosen = options.row, options.precision, options.folder
        work(options.side, *chosen, options.checked)
        return
    report(compare(options), options)


if __name__ == "__main__":
    main()
