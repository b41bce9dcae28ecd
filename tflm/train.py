"""`python -m tflm.train`: trains a language model on text."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tflm import config as configuration
from tflm.command_line import flags
from tflm.command_line import main as command_line


def main(arguments: Sequence[str]) -> int:
    """Trains, scores, samples and exports; returns the exit code."""
    parser = _parser()
    parsed = parser.parse(arguments)
    recipe, chosen = parser.recipe(parsed)
    try:
        config = configuration.from_flat({**recipe, **chosen})
    except (ValueError, TypeError) as error:
        parser.error(str(error))
    if parsed.resume:
        for name in {**recipe, **chosen}:
            if name not in configuration.BOUNDS:
                parser.error(
                    f"`{name}` cannot change when a run is resumed; "
                    f"{', '.join(configuration.BOUNDS)} can"
                )
    parser.check_folder("export_dir", parsed.export_dir)
    command_line.start(lambda: _share_out_rows(parsed, config))
    from tflm import training
    from tflm.training import report

    if parsed.resume:
        session = training.resume(_resumed(parsed), chosen)
    else:
        name = _name(config)
        path = Path(parsed.run_dir or training.free_name(name))
        session = training.begin(config, path)
    report.print_header(session)
    reason = session.train(parsed.resume)
    report.finish(session, reason, Path(parsed.export_dir))
    return command_line.INTERRUPTED if reason == "interrupted" else 0


def _share_out_rows(
    parsed: argparse.Namespace, config: configuration.Config
) -> None:
    from tflm import training
    from tflm.training import device

    if parsed.resume:
        parts = training.RunDirectory.open(_resumed(parsed)).row_parts
    else:
        parts = device.row_parts(config)
    device.share_out_rows(parts)


def _resumed(parsed: argparse.Namespace) -> Path:
    from tflm import training

    return Path(parsed.run_dir) if parsed.run_dir else training.newest()


def _parser() -> flags.Parser:
    parser = flags.Parser("train", "Train a language model on text.")
    parser.add_recipe()
    parser.add_argument(
        "--run_dir",
        metavar="DIR",
        help="directory of the run (default: runs/<dataset>-<model>)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with --run_dir, or with the newest run; bounds that are "
        "given (--epochs, --max_steps, --max_minutes) take the place of the "
        "run's",
    )
    parser.add_argument(
        "--export_dir",
        metavar="DIR",
        default=configuration.EXPORTS,
        help="folder of the exported models",
    )
    for group in vars(configuration.Config()).values():
        parser.add_settings(group)
    return parser


def _name(config: configuration.Config) -> str:
    """What a run is called that was given no name."""
    files = config.data.train_file
    source = Path(files[0]).name.split(".")[0] if files else config.data.dataset
    letters = (c if c.isalnum() or c in "_-" else "_" for c in source)
    # Standard input is called "-", which is no name.
    return f"{''.join(letters).strip('-') or 'text'}-{config.model.model}"


if __name__ == "__main__":
    command_line.run(main)
