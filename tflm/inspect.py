"""`python -m tflm.inspect`: shows what a text and its tokens are like."""

import json
from collections.abc import Sequence
from typing import Any

from tflm import config as configuration
from tflm import writing
from tflm.command_line import flags
from tflm.command_line import main as command_line

_GROUPS = ("data", "tokenizer", "sequences")


def main(arguments: Sequence[str]) -> None:
    """Reads a data set and prints what it holds."""
    parser = _parser()
    parsed = parser.parse(arguments)
    recipe, chosen = parser.recipe(parsed)
    if parsed.most < 0:
        parser.error(f"`most` must be at least 0. Received: most={parsed.most}")
    try:
        config = configuration.from_flat({**recipe, **chosen})
    except (ValueError, TypeError) as error:
        parser.error(str(error))
    parser.check_file("picture", parsed.picture)
    if parsed.run:
        kept = vars(config.tokenizer)
        for name in chosen:
            if name in kept:
                parser.error(
                    f"`{name}` is the run's: leave it out, or leave out "
                    f"{parsed.run!r}"
                )
    command_line.start()
    from tflm import training
    from tflm.inspection.page import Page
    from tflm.training.text import prepare

    tokenizer = None
    if parsed.run:
        run = training.RunDirectory.open(parsed.run)
        groups = run.config.to_dict()
        kept = {k: v for group in groups.values() for k, v in group.items()}
        config = configuration.from_flat({**kept, **chosen})
        tokenizer = run.tokenizer
    shows_merges = parsed.bpe_example or config.tokenizer.tokenizer == "bpe"
    text = prepare(config, tokenizer)
    page = Page(text, config, parsed.most, shows_merges)
    if parsed.picture:
        page.draw(parsed.picture)
    if parsed.json:
        # In ASCII: some characters of a text would end a line to some readers.
        print(json.dumps(writing.finite(page.figures())))
        return
    print("\n".join(page.lines()))


def _parser() -> flags.Parser:
    parser = flags.Parser(
        "inspect", "Show what a text holds and how it is cut into tokens."
    )
    parser.add_argument(
        "run",
        nargs="?",
        help="directory of a run, whose text and tokenizer are looked at "
        "(default: what the flags name)",
    )
    parser.add_recipe()
    parser.add_argument(
        "--most", type=int, default=20, help="frequent tokens to list"
    )
    parser.add_argument(
        "--bpe_example",
        action="store_true",
        help="show byte-pair encoding on five words, merge by merge "
        "(always with --tokenizer bpe)",
    )
    parser.add_argument(
        "--picture", metavar="FILE", help="draw the lengths of the documents"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object"
    )
    config: Any = configuration.Config()
    for name in _GROUPS:
        parser.add_settings(getattr(config, name))
    return parser


if __name__ == "__main__":
    command_line.run(main)
