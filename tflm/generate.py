"""`python -m tflm.generate`: writes text with a run or a SavedModel."""

import argparse
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

from tflm import config
from tflm.command_line import dialogue, flags, text_output
from tflm.command_line import main as command_line
from tflm.generation_settings import (
    BEAM_METHODS,
    CALL_SETTINGS,
    MOST_BEAMS,
    STEP_SETTINGS,
    GenerationSettings,
)

# Texts that are written side by side.
_BATCH = 64


def main(arguments: Sequence[str]) -> None:
    """Continues prompts and prints the texts."""
    parser = _parser()
    parsed = parser.parse(arguments)
    settings = parser.settings_of(GenerationSettings, parsed)
    _check(parser, parsed)
    parser.check_model(parsed.model, "prompt", parsed.prompt)
    command_line.start()
    from tflm import generation

    model, is_run = _model(parsed)
    prompts = _prompts(parsed)
    if parsed.interactive:
        print(dialogue.HELP)
        draft = _draft(model, prompts[0], _given(settings, is_run))
        dialogue.Dialogue(draft).run(lambda: input("> "))
        return
    unknown = model.unknown_pieces(prompts)
    text_output.report_unknown(
        unknown, settings.on_oov if is_run else "as the export says"
    )
    if parsed.stream:
        _stream(model, prompts[0], _given(settings, is_run))
        return
    rows = _rows(parsed, model, prompts, settings, is_run)
    for number, (place, row) in enumerate(rows):
        if parsed.detokenize:
            row["text"] = generation.readable(row["text"], row["prompt"])
        if parsed.json:
            pieces = unknown[place // parsed.num_samples]
            text_output.print_json(row, pieces)
        else:
            text_output.print_text(row, first=number == 0)


def _model(parsed: argparse.Namespace) -> tuple[Any, bool]:
    """What writes, and whether it is a run, not a SavedModel."""
    from tflm import generation, training

    path = parsed.model or training.newest()
    if not generation.is_saved_model(path):
        return training.load(path), True
    if parsed.show_probabilities:
        raise ValueError(
            "`model` must be a run to show the probabilities of each step: a "
            f"SavedModel writes whole texts. Received: model={path}"
        )
    _refuse_fixed(parsed)
    return generation.SavedModel(path), False


def _prompts(parsed: argparse.Namespace) -> list[bytes]:
    """The prompts in UTF-8, those of the command line first."""
    from tflm.datasets import files

    # What a shell hands over need not be UTF-8: it is taken as it is.
    prompts = [os.fsencode(prompt) for prompt in parsed.prompt]
    encoding = getattr(parsed, "encoding", config.DataConfig().encoding)
    for pattern in parsed.prompt_file:
        for file in files.matching("prompt_file", pattern, encoding):
            prompts.extend(text.encode() for text in file.texts())
    return prompts or [b""]


def _given(settings: GenerationSettings, is_run: bool) -> dict[str, Any]:
    return settings.to_dict() if is_run else {"settings": settings}


def _rows(
    parsed: argparse.Namespace,
    model: Any,
    prompts: list[bytes],
    settings: GenerationSettings,
    is_run: bool,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Texts with their prompts, and the places of these, in order."""
    repeated = [p for p in prompts for _ in range(parsed.num_samples)]
    for first in range(0, len(repeated), _BATCH):
        batch = repeated[first : first + _BATCH]
        own = settings
        if settings.seed >= 0:  # rows count on from batch to batch
            own = dataclasses.replace(settings, seed=settings.seed + first)
        given = _given(own, is_run)
        write = _beams if parsed.num_beams else _texts
        for number, row in write(model, parsed, batch, given):
            prompt = batch[number].decode("utf-8", "replace")
            yield first + number, {"prompt": prompt, **row}


def _texts(
    model: Any,
    parsed: argparse.Namespace,
    prompts: list[bytes],
    given: dict[str, Any],
) -> Iterator[tuple[int, dict[str, Any]]]:
    """A text for each prompt, and its steps if they are asked for."""
    if not parsed.show_probabilities:
        texts = model.generate(prompts, **given)
        yield from ((n, {"text": text}) for n, text in enumerate(texts))
        return
    for number, prompt in enumerate(prompts):
        seed = given["seed"]
        own = {**given, "seed": seed + number if seed >= 0 else seed}
        text, steps = model.choices(prompt, parsed.show_probabilities, **own)
        yield number, {"text": text, "steps": steps}


def _beams(
    model: Any,
    parsed: argparse.Namespace,
    prompts: list[bytes],
    given: dict[str, Any],
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The texts of beam search with their scores."""
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
        found["texts"].tolist(), found["scores"].tolist(), strict=True
    )
    for number, (texts, scores) in enumerate(columns):
        for text, score in zip(texts, scores, strict=True):
            if score > generation.NOTHING:
                yield number, {"text": text.decode(), "score": score}


def _stream(model: Any, prompt: bytes, given: dict[str, Any]) -> None:
    print(prompt.decode("utf-8", "replace"), end="", flush=True)
    for piece in model.stream(prompt, **given):
        print(piece, end="", flush=True)
    print()


def _draft(model: Any, prompt: bytes, given: dict[str, Any]) -> Any:
    from tflm import generation

    def following(text: bytes, k: int) -> list[tuple[bytes, float]]:
        found = model.next_token_probabilities([text], k)
        tokens, shares = found["tokens"][0], found["probabilities"][0]
        pairs = zip(tokens.tolist(), shares.tolist(), strict=True)
        return [(token, share) for token, share in pairs if share > 0]

    return generation.Draft(
        lambda text: model.generate([text], **given)[0].encode(),
        following,
        prompt,
    )


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
    if parsed.show_probabilities < 0:
        parser.error(
            "`show_probabilities` must be at least 0 (off). "
            f"Received: show_probabilities={parsed.show_probabilities}"
        )
    if parsed.show_probabilities and parsed.num_beams:
        parser.error(
            "`show_probabilities` shows what one text was drawn from: leave "
            "out --num_beams"
        )
    for name in ("stream", "interactive"):
        if getattr(parsed, name) and _asks_for_more(parsed, name):
            parser.error(
                f"`{name}` writes one text as it is: leave out further "
                "prompts, --prompt_file, --num_samples, --num_beams, "
                "--show_probabilities, --json and --detokenize, and --stream "
                "with --interactive"
            )


def _asks_for_more(parsed: argparse.Namespace, name: str) -> bool:
    return bool(
        len(parsed.prompt) > 1
        or parsed.prompt_file
        or parsed.num_samples > 1
        or parsed.num_beams
        or parsed.show_probabilities
        or parsed.json
        or parsed.detokenize
        or (parsed.stream and name == "interactive")
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
        default=[],
        help="what is continued (default: nothing, a new text)",
    )
    parser.add_argument(
        "--prompt_file",
        nargs="+",
        metavar="FILE",
        default=[],
        help="files with a prompt a line, - for standard input; blank lines "
        "are left out",
    )
    parser.add_argument(
        "--num_samples", type=int, default=1, help="texts for each prompt"
    )
    _add_forms(parser)
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
    names = [n for n in GenerationSettings.names() if not n.endswith("_limit")]
    parser.add_settings(GenerationSettings(), "how it is drawn", names)
    parser.add_settings(config.DataConfig(), "the files", ["encoding"])
    return parser


def _add_forms(parser: flags.Parser) -> None:
    """The flags that say how texts are shown."""
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
        "--show_probabilities",
        type=int,
        default=0,
        metavar="K",
        help="show at each step the K likeliest tokens, how likely they are "
        "to the model and after the filters, and which was drawn; 0: none",
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a text"
    )
    parser.add_argument(
        "--interactive",
        action="store_true",
        help="write a text in turns with the model, line by line, with undo "
        "and a choice among the likeliest tokens",
    )


if __name__ == "__main__":
    command_line.run(main)
