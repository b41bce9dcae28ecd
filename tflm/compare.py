"""`python -m tflm.compare`: ranks runs by their score on the same text."""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

from tflm import config as configuration
from tflm.command_line import flags
from tflm.command_line import main as command_line
from tflm.scoring_settings import ScoringSettings

_DATA = ["dataset", "data_dir", "cache_dir", "text_feature", "encoding"]


def main(arguments: Sequence[str]) -> None:
    """Prints the table, and writes the files that are asked for."""
    parser = _parser()
    parsed = parser.parse(arguments)
    settings = parser.settings_of(ScoringSettings, parsed)
    if parsed.text_file and (parsed.split or hasattr(parsed, "dataset")):
        parser.error("`text_file` goes without `split` and `dataset`")
    parser.check_file("csv", parsed.csv)
    parser.check_file("plot", parsed.plot)
    command_line.start()
    from tflm.training import RunDirectory, comparison, leaderboard

    first = RunDirectory.open(parsed.runs[0]).config
    compared = comparison.compare(
        parsed.runs,
        comparison.ComparedText(**_text(parsed, first)),
        settings,
        with_baselines=not parsed.no_baselines,
    )
    print(leaderboard.to_markdown(compared))
    if parsed.csv:
        leaderboard.write_csv(compared, parsed.csv)
    if parsed.plot:
        leaderboard.draw(compared, parsed.plot)


def _text(
    parsed: argparse.Namespace, first: configuration.Config
) -> dict[str, Any]:
    """The text to compare on: files, a data set, or the first run's."""
    from tflm.training import scores

    given = flags.chosen(parsed, _DATA)
    if parsed.text_file:
        config = scores.of_files(parsed.text_file, first, given)
        return {"config": config, "split": "train", "training": first}
    if "dataset" in given:
        data = configuration.DataConfig(**given)
    else:
        data = dataclasses.replace(first.data, **given)
    config = dataclasses.replace(first, data=data)
    return {"config": config, "split": parsed.split}


def _parser() -> flags.Parser:
    parser = flags.Parser("compare", "Rank runs by their score on one text.")
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="directory of a run"
    )
    parser.add_argument(
        "--text_file",
        nargs="+",
        metavar="FILE",
        help="score these files instead of the first run's held-out text",
    )
    parser.add_argument(
        "--split",
        metavar="SPLIT",
        help="split to score (default: test, or else validation)",
    )
    parser.add_argument(
        "--no_baselines",
        action="store_true",
        help="leave out the rows of xz and of Kneser-Ney 5-gram models",
    )
    parser.add_argument("--csv", metavar="FILE", help="write the rows as CSV")
    parser.add_argument(
        "--plot", metavar="FILE", help="draw the scores, as .png for one"
    )
    parser.add_settings(ScoringSettings(), "how the text is read")
    parser.add_settings(
        configuration.DataConfig(), "a text other than the first run's", _DATA
    )
    return parser


if __name__ == "__main__":
    command_line.run(main)
