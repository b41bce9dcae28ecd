"""`python -m tflm.export`: writes a run's model as a SavedModel, proven."""

from collections.abc import Sequence
from pathlib import Path

from tflm.command_line import flags
from tflm.command_line import main as command_line
from tflm.config import EXPORTS
from tflm.generation_settings import GenerationSettings


def main(arguments: Sequence[str]) -> None:
    """Exports the best weights of a run."""
    parser = _parser()
    parsed = parser.parse(arguments)
    settings = parser.settings_of(GenerationSettings, parsed)
    parser.check_folder("export_dir", parsed.export_dir)
    command_line.start()
    from tflm import training

    trained = training.load(parsed.model or training.newest())
    folder = Path(parsed.export_dir) / trained.name
    path = trained.export(folder, settings, proven=True)
    print(path)


def _parser() -> flags.Parser:
    parser = flags.Parser(
        "export",
        "Write a run's model as a SavedModel for TensorFlow Serving, and "
        "compare it with the model in a process without tflm.",
    )
    parser.add_argument(
        "model", nargs="?", help="directory of a run (default: the newest)"
    )
    parser.add_argument(
        "--export_dir",
        metavar="DIR",
        default=EXPORTS,
        help="folder in which the model's own folder stands",
    )
    parser.add_settings(GenerationSettings(), "what holds by default")
    return parser


if __name__ == "__main__":
    command_line.run(main)
