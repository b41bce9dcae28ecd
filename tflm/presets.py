"""Recipes by name, with what they gave: `python -m tflm.presets` lists them."""

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import Any

from tflm import checked

# The machine of every figure below.
MACHINE = "2 cores of an AMD EPYC with AVX512-BF16, Python 3.11.7"


@dataclasses.dataclass(frozen=True)
class Preset:
    """A recipe that somebody has run.

    Attributes:
        meaning: What it is good for.
        settings: What it sets; everything else keeps its default.
        ran: The text on which it was run, and for how many minutes.
        score: What came out on text held out from it.
        sample: What the model wrote, at temperature 0.8.
    """

    meaning: str
    settings: Mapping[str, Any]
    ran: str
    score: str
    sample: str


PRESETS: dict[str, Preset] = {
    "char-gru": Preset(
        meaning="characters and a GRU: what `train` does with no flag",
        settings={
            "tokenizer": "characters",
            "model": "gru",
            "embedding_dim": 128,
            "units": 384,
            "dropout": 0.3,
            "learning_rate": 8e-3,
            "max_minutes": 3,
        },
        ran="python_docs/374b2601a4, 3 minutes",
        score="validation 1.8429, test 1.6089 bits per byte (xz: 1.8549, "
        "1.7874)",
        sample="""
Return a list of all the local namespace is non-converted to data to a list to
all longrigh: "im()".

New in version 3.8: The module are a current implementation for *pass*
for the latter sequence of "__contains__()" and any the "__del__()" method.
""",
    ),
    "char-gpt": Preset(
        meaning="characters and a miniature GPT",
        settings={
            "tokenizer": "characters",
            "model": "gpt",
            "embedding_dim": 128,
            "num_layers": 4,
            "num_heads": 4,
            "context": 64,
            "seq_len": 64,
            "batch_size": 16,
            "dropout": 0.1,
            "learning_rate": 2e-3,
            "max_minutes": 3,
        },
        ran="python_docs/374b2601a4, 3 minutes",
        score="validation 2.0292, test 1.7700 bits per byte (xz: 1.8549, "
        "1.7874)",
        sample="""
The instance called. From operators of looks and the expression
"__del__()" and containsError" and in version 1, not with the class or
assignment is a a longth that import object:
""",
    ),
    "shakespeare-3min": Preset(
        meaning="the best that was found for tiny Shakespeare in three minutes",
        settings={
            "tokenizer": "characters",
            "model": "gru",
            "embedding_dim": 0,
            "units": 512,
            "dropout": 0.05,
            "sequences": "contiguous",
            "seq_len": 32,
            "batch_size": 64,
            "learning_rate": 1.6e-2,
            # Nothing is chosen by what is held out: the last weights stay.
            "validation_fraction": 0.0,
            "test_fraction": 0.1,
            "max_minutes": 3,
        },
        ran="tiny Shakespeare, 1,115,394 characters, 3 minutes, with "
        "--train_file input.txt",
        score="1.442 nats (2.080 bits) a character of the last 10%; seeds 1 "
        "and 2: 1.446, 1.437 (Kneser-Ney 5-gram: 1.561)",
        sample="""
GREMIO:
Good morrow, neighbour change our lordship with shoulders fear.

LEONTES:
To entreat you this were frue, you lay here to my heart,
That you might have thy inform'd that will wine prosonious.
""",
    ),
    "word-lstm": Preset(
        meaning="words and an LSTM with tied embeddings",
        settings={
            "tokenizer": "words",
            "model": "lstm",
            "embedding_dim": 256,
            "units": 256,
            "tie_embeddings": True,
            "dropout": 0.5,
            "learning_rate": 4e-3,
            "seq_len": 35,
            "max_minutes": 3,
        },
        ran="python_docs/374b2601a4, 3 minutes",
        score="perplexity 53.4 (validation), 65.9 (test), of 3,450 words; "
        "20.0% and 18.0% unknown",
        sample="""
Return a list of all objects have the instance is
reset to a number in both "__set__()" and all are used
and information and in the same value.
""",
    ),
    "wikitext2-word-lstm": Preset(
        meaning="WikiText-2 by words: two LSTM layers and a sampled softmax",
        settings={
            "dataset": "wikitext-2",
            "tokenizer": "words",
            "min_count": 1,  # rare words are <unk> in the text itself
            "model": "lstm",
            "embedding_dim": 256,
            "units": 256,
            "num_layers": 2,
            "tie_embeddings": True,
            "num_sampled": 2048,
            "dropout": 0.5,
            "learning_rate": 4e-3,
            "seq_len": 35,
            "max_minutes": 60,
        },
        ran="not its training split: WikiText-2's validation split (217,646 "
        "tokens) for 10 minutes, with --train_file wiki.valid.tokens "
        "--test_file wiki.test.tokens --validation_fraction 0 --max_minutes 10",
        score="perplexity 177.2 on the test split (13,777 words of the "
        "training text; 4.8% of the test split's are unknown)",
        sample="""
After large pass in the British attempt to the event in the command of the
city , the Australian race was the first force of each of the Kansas River and
the temple and 40 million yards .
In the lower , the United States body had Landmarks bridges are part of the
Charles Mississippi Fund Conference
""",
    ),
    "wikitext103-gpt": Preset(
        meaning="WikiText-103 by words: a GPT and a sampled softmax",
        settings={
            "dataset": "wikitext-103",
            "tokenizer": "words",
            "vocabulary_size": 50_000,
            "model": "gpt",
            "embedding_dim": 256,
            "num_layers": 3,
            "num_heads": 4,
            "context": 64,
            "seq_len": 64,
            "batch_size": 32,
            "num_sampled": 2048,
            "dropout": 0.1,
            "learning_rate": 1.5e-3,
            "warmup_steps": 100,
            "max_minutes": 600,
        },
        ran="not its training split: the validation split (217,646 tokens) "
        "for 10 minutes, with --train_file wiki.valid.tokens --test_file "
        "wiki.test.tokens --min_count 1 --dropout 0.4 --max_minutes 10",
        score="perplexity 214.9 on the test split (13,401 words of the part "
        "trained on)",
        sample="""
During the early ceasefire and in the east .
The cap , the ridge was a strong of the battle was developed by the North ,
and the fort was lured to the city .
""",
    ),
}


def settings_of(name: str | None) -> dict[str, Any]:
    """The settings of a preset.

    Args:
        name: Its name; None has no settings.

    Returns:
        Values by the name of their setting, for `config.from_flat`.

    Raises:
        ValueError: If there is no such preset; the message names the closest.

    Example:
    >>> settings_of("char-gpt")["model"]
    'gpt'
    """
    if name is None:
        return {}
    if name not in PRESETS:
        raise ValueError(checked.unknown("preset", name, PRESETS))
    return dict(PRESETS[name].settings)


def command(name: str) -> str:
    """The command that runs a preset.

    >>> command("char-gru")
    'python -m tflm.train --preset char-gru'
    """
    return f"python -m tflm.train --preset {name}"


def describe(name: str) -> str:
    """A preset in a few lines: command, text, minutes, score and sample."""
    preset = PRESETS[name]
    lines = [
        f"{name}: {preset.meaning}",
        f"  {command(name)}",
        f"  run on   {preset.ran}",
        f"  score    {preset.score}",
        "  sample",
        textwrap.indent(preset.sample.strip("\n"), "    "),
    ]
    return "\n".join(lines)


def main() -> None:
    """Prints every preset."""
    print(f"measured on {MACHINE}\n")
    print("\n\n".join(describe(name) for name in PRESETS))


if __name__ == "__main__":
    main()
