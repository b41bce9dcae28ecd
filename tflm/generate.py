"""`python -m tflm.generate`: writes text with a run or a SavedModel."""

from collections.abc import Sequence
from typing import Any

from tflm.command_line import flags
from tflm.command_line import main as command_line
from tflm.generation_settings import GenerationSettings


def main(arguments: Sequence[str]) -> None:
    """Continues prompts and prints the texts."""
    parser = _parser()
    parsed = parser.parse(arguments)
    settings = parser.settings_of(GenerationSettings, parsed)
    if parsed.num_samples < 1:
        parser.error(
            "`num_samples` must be at least 1. "
            f"Received: num_samples={parsed.num_samples}"
        )
    command_line.start()
    from tflm import generation, training

    prompts = [p for p in parsed.prompt for _ in range(parsed.num_samples)]
    model: Any = parsed.model or training.newest()
    if generation.is_saved_model(model):
        texts = generation.SavedModel(model).generate(prompts, settings)
    else:
        trained = training.load(model)
        texts = trained.generate(prompts, **settings.to_dict())
    for index, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        if index:
            print("-" * 40)
        if parsed.detokenize:
            text = generation.readable(text, prompt)
        print(text)


def _parser() -> flags.Parser:
    parser = flags.Parser("generate", "Write text with a trained model.")
    parser.add_argument(
        "model",
        nargs="?",
        help="directory of a run or of a SavedModel (default: the newest run)",
    )
    parser.add_argument(
        "--prompt",
        nargs="+",
        metavar="TEXT",
        default=[""],
        help="what is continued; a new text begins where it is empty",
    )
    parser.add_argument(
        "--num_samples", type=int, default=1, help="texts for each prompt"
    )
    parser.add_argument(
        "--detokenize",
        action="store_true",
        help="make the text of a word model readable",
    )
    parser.add_settings(GenerationSettings(), "how it is drawn")
    return parser


if __name__ == "__main__":
    command_line.run(main)
