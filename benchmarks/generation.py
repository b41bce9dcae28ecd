"""What generated text costs, beside the tutorial's loop and PyTorch.

    python benchmarks/generation.py --row gru-1024 --batch_size 1

Ours is `generate` of the SavedModel, as a server runs it, in both precisions,
and `TextGenerator` in Python with XLA, likewise, many rows of a large model
with one thread for each operation. The peers are the loop of TensorFlow's
text-generation tutorial, which calls a stock Keras model once for each token,
with strings in and out, and PyTorch's own parts with a cache, in float32 and in
bfloat16, if it is installed (`pip install .[peers]`). Each works in a process
of its own on the same weights. First the probabilities of what follows a prompt
must agree; the GPTs are compared without positions then, which differ. Then the
sides take turns, because a shared machine is never equally fast twice.
"""

import argparse
import functools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from figures import has_torch, report
from sides import Side, speeds, take_turns
from train_step import ROWS, VOCABULARY, our_model

PROMPT = "the cat sat on the mat and looked"
# Characters of our tokenizer: the ids below 4 are its special ones.
LETTERS = "".join(map(chr, range(ord("A"), ord("A") + VOCABULARY - 5))) + " "
# Tokens of every row in a turn: a turn takes some seconds on two cores.
TOKENS = {"gru-1024": 1000, "lstm-1024": 1000, "gpt-small": 500}
# Of these many rows are written in parts.
LARGE = ("gru-1024", "lstm-1024", "gpt-baby")
MANY = 9
# Of log-probabilities: float32 in another order, and rounded to bfloat16.
AGREES = {"float32": 2e-3, "bfloat16": 5e-2}

# A side is given its weights and the batch size; it gives the probabilities
# of what follows the prompt, by id, and a function that writes so many tokens.
Made = tuple[np.ndarray, Callable[[int], object]]


def tokenizer():
    from tflm.tokenizers import Characters

    return Characters("".join(sorted(LETTERS)))


def prompt_ids() -> np.ndarray:
    return np.array([sorted(LETTERS).index(c) + 4 for c in PROMPT])


def ours(
    row: str, weights: list, batch_size: int, place: str, precision: str
) -> Made:
    import tensorflow as tf

    from tflm import generation
    from tflm.generation_settings import GenerationSettings

    settings = GenerationSettings(precision=precision)
    plain = our_model(row, "float32", rotary=False)
    plain.set_weights(weights)
    rounded = generation.in_precision(plain, precision)
    state = rounded.get_initial_state(1)
    for id_ in prompt_ids():  # as texts are written, one by one
        logits, state = rounded(
            tf.constant([[id_]]), initial_state=state, return_state=True
        )
    told = tf.nn.softmax(logits[0, -1])
    model = our_model(row, "float32", rotary=True)
    model.set_weights(weights)
    prompts = tf.constant([PROMPT] * batch_size)
    if place == "python":
        generator = generation.TextGenerator(
            model, tokenizer(), settings, allow_end=False, jit_compile=True
        )
        call = generator.texts
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = generation.export(
                model, tokenizer(), folder, settings, allow_end=False
            )
            call = tf.saved_model.load(path).signatures["generate"]

    def write(tokens: int) -> None:
        texts = call(
            prompt=prompts,
            max_new_tokens=tf.constant(tokens),
            temperature=tf.constant(1.0),
            top_k=tf.constant(0),
            top_p=tf.constant(1.0),
            seed=tf.constant(0),
        )
        assert len(texts["text"][0].numpy()) == tokens + len(PROMPT)

    return told.numpy(), write


def tutorial(row: str, weights: list, batch_size: int) -> Made:
    """The tutorial's `OneStep` on stock layers, a call for each token."""
    import keras
    import tensorflow as tf

    kind, shape, *_ = ROWS[row]
    layer = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[kind](
        shape["units"], return_sequences=True, return_state=True
    )
    embedding = keras.layers.Embedding(VOCABULARY, shape["embedding_dim"])
    head = keras.layers.Dense(VOCABULARY)
    embedding.build()
    layer.build((None, None, shape["embedding_dim"]))
    head.build((None, shape["units"]))
    embedding.set_weights(weights[:1])
    layer.set_weights(weights[1:4])
    head.set_weights(weights[4:])
    letters = ["", "[UNK]", "[S]", "[E]", *sorted(LETTERS)]
    ids_of = keras.layers.StringLookup(vocabulary=letters[2:], mask_token="")
    text_of = keras.layers.StringLookup(
        vocabulary=letters[2:], mask_token="", invert=True
    )
    unwanted = tf.constant([[-np.inf] * 4 + [0.0] * (VOCABULARY - 4)])

    @tf.function
    def step(inputs, states):
        ids = ids_of(tf.strings.unicode_split(inputs, "UTF-8")).to_tensor()
        outputs, *states = layer(embedding(ids), initial_state=states)
        logits = head(outputs)[:, -1] / 1.0 + unwanted
        drawn = tf.squeeze(tf.random.categorical(logits, 1), -1)
        return text_of(drawn), states, tf.nn.softmax(head(outputs)[:, -1])

    count = 2 if kind == "lstm" else 1
    states = [tf.zeros([1, shape["units"]])] * count
    *_, told = step(tf.constant([PROMPT]), states)

    def write(tokens: int) -> None:
        states = [tf.zeros([batch_size, shape["units"]])] * count
        following = tf.constant([PROMPT] * batch_size)
        texts = [following]
        for _ in range(tokens):
            following, states, _ = step(following, states)
            texts.append(following)
        assert len(tf.strings.join(texts)[0].numpy()) == tokens + len(PROMPT)

    return told[0].numpy(), write


def by_torch(row: str, weights: list, batch_size: int, precision: str) -> Made:
    import os

    import torch
    import torch_models

    torch.set_num_threads(os.cpu_count() or 1)
    kind, shape, *_ = ROWS[row]
    if kind == "gpt":
        sizes = shape["num_heads"], shape["context"]
        model = torch_models.GPT(*sizes, weights)
    else:
        model = torch_models.Recurrent(kind, weights)
    model = model.to(getattr(torch, precision)).eval()
    prompt = torch.tensor(prompt_ids())
    with torch.inference_mode():
        state = model.begin(1)
        for id_ in prompt:
            logits, state = model.read(id_[None], state)
        told = logits[0].float().softmax(-1).numpy()

    @torch.inference_mode()
    def write(tokens: int) -> None:
        state = model.begin(batch_size)
        for id_ in prompt:
            logits, state = model.read(id_.repeat(batch_size), state)
        for _ in range(tokens):
            drawn = logits.float().softmax(-1).multinomial(1)[:, 0]
            logits, state = model.read(drawn, state)

    return told, write


SIDES: dict[str, Callable[..., Made]] = {
    "saved_model": lambda *given: ours(*given, "saved_model", "float32"),
    "saved_model_bfloat16": lambda *given: ours(
        *given, "saved_model", "bfloat16"
    ),
    "python": lambda *given: ours(*given, "python", "float32"),
    "python_bfloat16": lambda *given: ours(*given, "python", "bfloat16"),
    "tutorial": tutorial,
    "pytorch": lambda *given: by_torch(*given, "float32"),
    "pytorch_bfloat16": lambda *given: by_torch(*given, "bfloat16"),
}


def set_threads(options: argparse.Namespace) -> None:
    """One for each operation, where many rows are in parts: see `Generator`."""
    import tensorflow as tf

    many = options.batch_size >= MANY and options.row in LARGE
    if many and options.side.startswith("python"):
        tf.config.threading.set_intra_op_parallelism_threads(1)


def work(options: argparse.Namespace) -> None:
    """Answers lines of numbers of tokens, for the process that compares."""
    if not options.side.startswith("pytorch"):
        from tflm.command_line import noise

        noise.import_tensorflow_quietly(functools.partial(set_threads, options))
    with np.load(options.folder / "weights.npz") as kept:
        weights = [kept[name] for name in kept.files]
    made = SIDES[options.side](options.row, weights, options.batch_size)
    told, write = made
    write(20)
    write(20)
    print(json.dumps(np.log(told).tolist()), flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        write(int(line))
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds}), flush=True)


def compare(options: argparse.Namespace) -> dict:
    kind, *_ = ROWS[options.row]
    names = [name for name in SIDES if name not in options.without]
    if kind == "gpt" and "tutorial" in names:
        names.remove("tutorial")  # it has no transformer
    if not has_torch():
        names = [name for name in names if not name.startswith("pytorch")]
    tokens = options.tokens or TOKENS.get(options.row, 100)
    chosen = ["--row", options.row, "--batch_size", str(options.batch_size)]
    with tempfile.TemporaryDirectory() as folder:
        chosen += ["--folder", folder]
        weights = [sys.executable, __file__, "--side", "weights", *chosen]
        subprocess.run(weights, check=True)
        sides = {
            name: Side(__file__, ["--side", name, *chosen]) for name in names
        }
        for name, side in sides.items():
            difference = np.subtract(side.first, sides[names[0]].first)
            worst = float(np.abs(difference).max())
            rounded = any(n.endswith("bfloat16") for n in (name, names[0]))
            allowed = AGREES["bfloat16" if rounded else "float32"]
            assert worst < allowed, (name, worst)
        turns = take_turns(sides, tokens, options.pairs)
        for side in sides.values():
            side.end()
    figures = {
        "row": f"{options.row}, batch {options.batch_size}",
        "tokens": tokens,
    }
    return figures | speeds(turns, tokens * options.batch_size, names[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--row", choices=ROWS, default="gru-1024")
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--tokens", type=int, help="of every row in a turn")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--without", nargs="+", default=[], choices=SIDES)
    parser.add_argument("--results", type=Path, help="append the figures here")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side == "weights":
        model = our_model(options.row, "float32", rotary=False)
        np.savez(options.folder / "weights.npz", *model.get_weights())
    elif options.side:
        work(options)
    else:
        report(compare(options), options)


if __name__ == "__main__":
    main()
