"""`python -m tflm.evaluate`: scores a run's model on held-out text."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from tflm import checked, writing
from tflm import config as configuration
from tflm.command_line import flags
from tflm.command_line import main as command_line
from tflm.scoring_settings import ScoringSettings


def main(arguments: Sequence[str]) -> None:
    """Prints one JSON object for each split, or for files of text."""
    parser = _parser()
    parsed = parser.parse(arguments)
    settings = parser.settings_of(ScoringSettings, parsed)
    command_line.start()
    from tflm import training
    from tflm.training import scores

    path = parsed.model or training.newest()
    trained = training.load(path)
    overrides = flags.chosen(parsed, ["data_dir", "cache_dir", "encoding"])
    baselines = not parsed.no_baselines
    if parsed.text_file:
        config = scores.of_files(parsed.text_file, trained.config, overrides)
        _print(scores.evaluate_files(trained, config, settings, baselines))
        return
    text = scores.text_of(trained, overrides)
    if text.fingerprint() != training.RunDirectory.open(path).fingerprint:
        print(
            f"warning: the text of {text.text.name} is not the one that the "
            "run was trained on: its held-out part may have been seen",
            file=sys.stderr,
        )
    splits = [parsed.split] if parsed.split else text.held_out
    if not splits:
        raise ValueError(
            f"the run {path} holds no text out: score files of your own with "
            "--text_file, or what it was trained on with --split train"
        )
    for split in splits:
        if split not in text.stores:
            parser.error(checked.unknown("split", split, text.stores))
    figures = scores.evaluate(trained, text, splits, settings, baselines)
    for values in figures.values():
        _print(values)


def _parser() -> flags.Parser:
    parser = flags.Parser("evaluate", "Score a model, one JSON object a split.")
    parser.add_argument(
        "model", nargs="?", help="directory of a run (default: the newest)"
    )
    parser.add_argument(
        "--text_file",
        nargs="+",
        metavar="FILE",
        help="score these files instead of the run's held-out splits",
    )
    parser.add_argument(
        "--split", metavar="SPLIT", help="score this split alone"
    )
    parser.add_argument(
        "--no_baselines",
        action="store_true",
        help="leave out what xz and a Kneser-Ney 5-gram model need",
    )
    parser.add_settings(ScoringSettings(), "how the text is read")
    data = configuration.DataConfig()
    parser.add_settings(data, "the text", ["data_dir", "cache_dir", "encoding"])
    return parser


def _print(figures: dict[str, Any]) -> None:
    print(json.dumps(writing.finite(figures)), flush=True)


if __name__ == "__main__":
    command_line.run(main)
