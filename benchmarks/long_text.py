"""What a token of a long text costs: early ones and late ones, in one run.

    python benchmarks/long_text.py --model gpt --early 100 --late 10000

One row is taken to each of the two positions, with `generate_one_step` in
Python and in the SavedModel made of the same model. From there the two
positions take turns in blocks, because a shared machine is never equally fast
twice. The ratio of the late to the early tokens' time should be 1: the state
of a model does not grow with its text.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from figures import report, resident

from tflm.command_line import noise

noise.import_tensorflow_quietly()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from tflm import generation, models  # noqa: E402
from tflm.config import MODEL_DEFAULTS, ModelConfig  # noqa: E402
from tflm.tokenizers import Characters  # noqa: E402

# A space and the letters; END is never generated, so that no text ends.
LETTERS = " abcdefghijklmnopqrstuvwxyz"


class Text:
    """A text that was read up to a position, and goes on from there."""

    def __init__(self, step: Callable, position: int):
        self.step = step
        self.outputs, self.states = step(tf.constant(["a" * position]), None)

    def grow(self, tokens: int) -> float:
        """Writes the next so many tokens; returns milliseconds a token."""
        outputs, states = self.outputs, self.states
        began = time.perf_counter()
        for _ in range(tokens):
            outputs, states = self.step(outputs, states)
        outputs.numpy()
        return 1000 * (time.perf_counter() - began) / tokens


def measure(step: Callable, options: argparse.Namespace) -> dict:
    early = Text(step, options.early)
    memory_early = resident()
    late = Text(step, options.late)
    for text in (early, late):
        text.grow(options.tokens)  # the first calls are slow
    pairs = []
    for block in range(options.blocks):
        # Who goes first takes turns too.
        order = (early, late) if block % 2 else (late, early)
        spent = {text: text.grow(options.tokens) for text in order}
        pairs.append((spent[early], spent[late]))
    ratios = sorted(after / before for before, after in pairs)
    return {
        "early_ms": round(statistics.median(p[0] for p in pairs), 3),
        "late_ms": round(statistics.median(p[1] for p in pairs), 3),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)],
        "memory_early_mib": round(memory_early),
        "memory_late_mib": round(resident()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = ["gpt", "gru", "lstm", "simple_rnn"]
    parser.add_argument("--model", choices=kinds, default="gpt")
    parser.add_argument("--early", type=int, default=100)
    parser.add_argument("--late", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=50, help="in a block")
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--results", type=Path, help="append the figures here")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    tokenizer = Characters(LETTERS)
    usual = {
        name: value
        for name, value in MODEL_DEFAULTS.get(options.model, {}).items()
        if name in ModelConfig.__dataclass_fields__
    }
    settings = ModelConfig(model=options.model, **usual)
    model = models.build(settings, tokenizer.vocabulary_size)
    step = generation.OneStep(model, tokenizer, allow_end=False)
    with tempfile.TemporaryDirectory() as folder:
        path = generation.export(model, tokenizer, folder, allow_end=False)
        loaded = tf.saved_model.load(path)
        measured = {
            "python": measure(step.generate_one_step, options),
            "saved_model": measure(loaded.generate_one_step, options),
        }
    for place, figures in measured.items():
        row = {
            "row": f"{options.model} {place}, token {options.early:,} and "
            f"{options.late:,}",
            **figures,
        }
        report(row, options)


if __name__ == "__main__":
    main()
