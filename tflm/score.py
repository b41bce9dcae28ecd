"""`python -m tflm.score`: how likely any text is under a model."""

import json
import math
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tflm import config, writing
from tflm.command_line import flags
from tflm.command_line import main as command_line

# Texts that are read side by side.
_BATCH = 64


def main(arguments: Sequence[str]) -> None:
    """Prints a JSON object a text, or a token, or shows pictures of texts."""
    parser = _parser()
    parsed = parser.parse(arguments)
    if not parsed.text and not parsed.text_file:
        parser.error("there is nothing to score: give --text or --text_file")
    parser.check_file("html", parsed.html)
    parser.check_model(parsed.model, "text", parsed.text)
    command_line.start()
    texts = _texts(parsed)
    scorer = _scorer(parsed)
    in_figures = not (parsed.per_token or parsed.picture)
    if in_figures or parsed.rank:
        costs = _in_batches(lambda batch: _costs(scorer, batch), texts)
        if parsed.rank:
            # An empty text costs nothing, and says nothing: it comes last.
            costs.sort(key=lambda cost: (not cost.tokens, cost.nats))
            texts = [cost.text for cost in costs]
        if in_figures:
            for cost in costs:
                _print(cost.figures())
    if _by_token(parsed):
        _show_tokens(parsed, texts, _in_batches(scorer.surprisals, texts))


class Cost(NamedTuple):
    """What a text costs under a model."""

    text: bytes
    nats: float
    tokens: int
    unknown_bytes: int

    def figures(self) -> dict[str, Any]:
        """What is printed; None where a figure is infinite or has no sense."""
        bits = self.nats / math.log(2) + 8 * self.unknown_bytes
        each = self.nats / self.tokens if self.tokens else math.nan
        # What a float cannot hold is no figure to print either.
        perplexity = math.exp(each) if each < 700 else math.nan
        figures = {
            "text": self.text.decode("utf-8", "replace"),
            "log_prob": 0 - self.nats,
            "tokens": self.tokens,
            "bytes": len(self.text),
            "bits_per_byte": bits / (len(self.text) or math.nan),
            "perplexity": perplexity,
        }
        return writing.finite(figures)


def _parser() -> flags.Parser:
    parser = flags.Parser(
        "score",
        "Score any text, one JSON object a text: log_prob in nats (without "
        "END), tokens, bytes, bits_per_byte, perplexity.",
    )
    parser.add_argument(
        "model",
        nargs="?",
        help="directory of a run or of a SavedModel (default: the newest run)",
    )
    parser.add_argument(
        "--text",
        nargs="+",
        action="extend",
        default=[],
        metavar="TEXT",
        help="texts to score",
    )
    parser.add_argument(
        "--text_file",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="files with a text a line, - for standard input; blank lines are "
        "left out",
    )
    parser.add_argument(
        "--whole", action="store_true", help="take each file as one text"
    )
    parser.add_argument(
        "--rank",
        action="store_true",
        help="put the likeliest text first, by log_prob",
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--per_token",
        action="store_true",
        help="print a JSON object a token: the number of its text, its bytes "
        "in it, its nats and bits",
    )
    shown.add_argument(
        "--picture",
        action="store_true",
        help="show the texts, coloured by how surprising each token is",
    )
    parser.add_argument(
        "--html", metavar="FILE", help="write that picture as a page of its own"
    )
    parser.add_settings(config.DataConfig(), "the files", ["encoding"])
    return parser


def _by_token(parsed: Namespace) -> bool:
    return parsed.per_token or parsed.picture or bool(parsed.html)


def _texts(parsed: Namespace) -> list[bytes]:
    """The texts in UTF-8, those of the command line first."""
    from tflm.datasets import files

    # What a shell hands over need not be UTF-8: it is scored as it is.
    texts = [os.fsencode(text) for text in parsed.text]
    encoding = getattr(parsed, "encoding", config.DataConfig().encoding)
    for pattern in parsed.text_file:
        for file in files.matching("text_file", pattern, encoding):
            texts.extend(text.encode() for text in file.texts(parsed.whole))
    return texts


def _scorer(parsed: Namespace) -> Any:
    """What scores texts: made of a run, or loaded from a SavedModel."""
    from tflm import generation, training

    model = parsed.model or training.newest()
    if not generation.is_saved_model(model):
        return training.load(model).scorer
    if _by_token(parsed):
        raise ValueError(
            "`model` must be a run to show what single tokens cost: a "
            f"SavedModel scores whole texts. Received: model={model}"
        )
    return generation.SavedModel(model)


def _in_batches(
    score: Callable[[list[bytes]], list], texts: list[bytes]
) -> list:
    """What `score` gives for the texts, in their order."""
    # Texts of like length side by side: little is read in vain.
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    scored: dict[int, Any] = {}
    for first in range(0, len(order), _BATCH):
        places = order[first : first + _BATCH]
        batch = score([texts[place] for place in places])
        scored.update(zip(places, batch, strict=True))
    return [scored[place] for place in range(len(texts))]


def _costs(scorer: Any, texts: list[bytes]) -> list[Cost]:
    scores = scorer.score(texts)
    nats = (0 - scores["log_prob"]).numpy().tolist()
    tokens = scores["num_tokens"].numpy().tolist()
    unknown = scorer.unknown_bytes(texts).numpy().tolist()
    return list(map(Cost, texts, nats, tokens, unknown))


def _show_tokens(
    parsed: Namespace, texts: list[bytes], surprisals: list
) -> None:
    from tflm import generation

    if parsed.html:
        title = f"{parsed.model or 'the newest run'}: surprisal"
        page = generation.html_picture(title, texts, surprisals)
        writing.write_text(parsed.html, page)
    if parsed.picture:
        colour = _has_colours()
        for text, tokens in zip(texts, surprisals, strict=True):
            print(generation.terminal_picture(text, tokens, colour))
        if colour:
            print(generation.terminal_legend())
    if parsed.per_token:
        for number, (text, tokens) in enumerate(
            zip(texts, surprisals, strict=True)
        ):
            for token in tokens:
                _print(_token_figures(number, text, token))


def _token_figures(number: int, text: bytes, token: Any) -> dict[str, Any]:
    figures = {
        "text": number,
        "token": text[token.begin : token.end].decode("utf-8", "replace"),
        "begin": token.begin,
        "end": token.end,
        "nats": token.nats,
        "bits": token.bits,
        "unknown": token.unknown,
    }
    return writing.finite(figures)


def _has_colours() -> bool:
    refused = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return _is_terminal() and not refused


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _print(figures: dict[str, Any]) -> None:
    # In ASCII: some characters of a text would end a line to some readers.
    print(json.dumps(figures))


if __name__ == "__main__":
    command_line.run(main)
