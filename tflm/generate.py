"""`python -m tflm.generate`: writes text with a run or a SavedModel."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from tflm.command_line import flags
from tflm.command_line import main as command_line
from tflm.generation_settings import (
    BEAM_METHODS,
    CALL_SETTINGS,
    MOST_BEAMS,
    STEP_SETTINGS,
    GenerationSettings,
)


def main(arguments: Sequence[str]) -> None:
    """Continues prompts and prints the texts."""
    parser = _parser()
    parsed = parser.parse(arguments)
    settings = parser.settings_of(GenerationSettings, parsed)
    _check(parser, parsed)
    command_line.start()
    from tflm import generation, training

    path: Any = parsed.model or training.newest()
    model: Any
    if generation.is_saved_model(path):
        _refuse_fixed(parsed)
        model = generation.SavedModel(path)
        given: dict[str, Any] = {"settings": settings}
    else:
        model = training.load(path)
        given = settings.to_dict()
    if parsed.stream:
        _stream(model, parsed.prompt[0], given)
        return
    prompts = [p for p in parsed.prompt for _ in range(parsed.num_samples)]
    if parsed.num_beams:
        _show(parsed, _beams(model, parsed, prompts, given))
        return
    texts = model.generate(prompts, **given)
    pairs = zip(prompts, texts, strict=True)
    _show(parsed, [{"prompt": p, "text": text} for p, text in pairs])


def _stream(model: Any, prompt: str, given: dict[str, Any]) -> None:
    print(prompt, end="", flush=True)
    for piece in model.stream(prompt, **given):
        print(piece, end="", flush=True)
    print()


def _beams(
    model: Any,
    parsed: argparse.Namespace,
    prompts: list[str],
    given: dict[str, Any],
) -> list[dict[str, Any]]:
    """The texts of beam search with their scores, as rows to show."""
    from tflm import generation

    if parsed.beam_method == "likeliest":  # it draws nothing
        given = {n: v for n, v in given.items() if n not in STEP_SETTINGS}
    found = model.beam_search(
        prompts,
        num_beams=parsed.num_beams,
        length_penalty=parsed.length_penalty,
        method=parsed.beam_method,
        **given,
    )
    columns = zip(
        prompts, found["texts"].tolist(), found["scores"].tolist(), strict=True
    )
    return [
        {"prompt": prompt, "text": text.decode(), "score": score}
        for prompt, texts, scores in columns
        for text, score in zip(texts, scores, strict=True)
        if score > generation.NOTHING
    ]


def _show(parsed: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    from tflm import generation

    for index, row in enumerate(rows):
        if parsed.detokenize:
            row["text"] = generation.readable(row["text"], row["prompt"])
        if parsed.json:
            print(json.dumps(row, ensure_ascii=False))
            continue
        if index:
            print("-" * 40)
        print(row["text"])


def _check(parser: flags.Parser, parsed: argparse.Namespace) -> None:
    if parsed.num_samples < 1:
        parser.error(
            "`num_samples` must be at least 1. "
            f"Received: num_samples={parsed.num_samples}"
        )
    if not 0 <= parsed.num_beams <= MOST_BEAMS:
        parser.error(
            f"`num_beams` must be from 0 (off) to {MOST_BEAMS}. "
            f"Received: num_beams={parsed.num_beams}"
        )
    if parsed.stream and (
        len(parsed.prompt) * parsed.num_samples > 1
        or parsed.num_beams
        or parsed.json
        or parsed.detokenize
    ):
        parser.error(
            "`stream` writes one text as it is: leave out further prompts, "
            "--num_samples, --num_beams, --json and --detokenize"
        )


def _refuse_fixed(parsed: argparse.Namespace) -> None:
    """An export has its own values of what is fixed in it."""
    names = set(GenerationSettings.names()) - set(CALL_SETTINGS)
    for name in sorted(names):
        if hasattr(parsed, name):
            raise ValueError(
                f"`{name}` is fixed when a model is exported: give --{name} "
                "to tflm export, or the run in place of its SavedModel. "
                f"Received: {name}={getattr(parsed, name)}"
            )


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
    parser.add_argument(
        "--stream",
        action="store_true",
        help="write the text piece by piece, as it comes",
    )
    parser.add_argument(
        "--num_beams",
        type=int,
        default=0,
        help="texts that beam search keeps and prints, best first; 0: none",
    )
    parser.add_argument(
        "--beam_method",
        choices=BEAM_METHODS,
        default=BEAM_METHODS[0],
        help="what goes on in the beam: the likeliest texts, continuations "
        "drawn at each step, texts drawn without replacement",
    )
    parser.add_argument(
        "--length_penalty",
        type=float,
        default=0.0,
        help="above 0 longer texts win in beam search, below 0 shorter ones",
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a text"
    )
    names = [n for n in GenerationSettings.names() if not n.endswith("_limit")]
    parser.add_settings(GenerationSettings(), "how it is drawn", names)
    return parser


if __name__ == "__main__":
    command_line.run(main)
