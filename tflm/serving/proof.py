"""The proof that an export does what its model does, without tflm."""

import contextlib
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tflm import __version__, writing
from tflm.generation import GenerationSettings, TextGenerator, TextScorer

REPORT_FILE = "export_report.json"
_SCRIPT = Path(__file__).with_name("fresh_process.py")
_TOKENS = 40
_SEEDS = (1, 2, 3)
# float32 on another machine, or with another number of rows.
_TOLERANCE = 1e-3
_TIMEOUT = 600  # seconds


def prove(
    export: Path, generator: TextGenerator, scorer: TextScorer
) -> dict[str, Any]:
    """Compares an export with the model that it was made of.

    The export is used by a process of its own, in an empty folder, in which
    tflm cannot be imported. It continues several prompts, greedily and with
    several seeds, and scores them; all texts must be the model's.

    Args:
        export: The folder of one version.
        generator: Writes texts with the model that the export was made of.
        scorer: Scores them.

    Returns:
        The report, which is written into the export as `export_report.json`:
        versions, libraries of operations that the export needs, prompts,
        settings and texts.

    Raises:
        ValueError: If the export cannot be used, or differs from the model.
    """
    settings = generator.settings
    with _fresh_process(export) as ask:  # which loads the export meanwhile
        prompts = _prompts(generator)
        calls = _calls(settings)
        texts = [
            generator.generate(prompts, **call)["text"].numpy().tolist()
            for call in calls
        ]
        answers = ask({"prompts": prompts, "settings": calls})
    _compare_texts(prompts, calls, texts, answers["texts"])
    usual = settings.call
    if usual["seed"] >= 0 or usual["temperature"] == 0:
        expected = generator.generate(prompts, **usual)["text"].numpy().tolist()
        _compare_texts(prompts, [usual], [expected], [answers["usual_texts"]])
    _compare_settings(settings, answers["settings"])
    scores = scorer.score(prompts)["log_prob"].numpy().tolist()
    for prompt, own, other in zip(
        prompts, scores, answers["log_probs"], strict=True
    ):
        if not math.isclose(own, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            raise _differs(f"score of {prompt!r}", own, other)
    report = {
        "tflm": __version__,
        "tensorflow": answers["tensorflow"],
        "python": answers["python"],
        "op_libraries": list(generator.tokenizer.op_libraries),
        "prompts": prompts,
        "settings": calls,
        "texts": [[text.decode() for text in row] for row in texts],
        "log_probs": scores,
    }
    writing.write_json(export / REPORT_FILE, report)
    return report


def _prompts(generator: TextGenerator) -> list[str]:
    """The empty prompt, what the model writes itself, and what it lacks.

    Texts longer than the export takes are left out.
    """
    call: dict[str, Any] = {"temperature": 1.0, "seed": 0}
    call["max_new_tokens"] = generator.settings.within_limit(_TOKENS)
    written = generator.generate([""] * 3, **call)
    own = [text.decode() for text in written["text"].numpy()]
    if generator.settings.on_oov != "error":
        own.append("The \N{SNOWMAN} 123")
    most = generator.settings.prompt_bytes_limit
    if most is not None:
        own = [text for text in own if len(text.encode()) <= most]
    return list(dict.fromkeys(["", *own]))


def _calls(settings: GenerationSettings) -> list[dict[str, Any]]:
    tokens = settings.within_limit(_TOKENS)
    plain = {"max_new_tokens": tokens, "top_k": 0, "top_p": 1.0}
    drawn = [{**plain, "temperature": 1.0, "seed": seed} for seed in _SEEDS]
    return [{**plain, "temperature": 0.0, "seed": 0}, *drawn]


@contextlib.contextmanager
def _fresh_process(export: Path) -> Iterator[Callable[[dict], dict[str, Any]]]:
    """What gives a request's answers, from a process without tflm."""
    with (
        tempfile.TemporaryDirectory() as empty,
        subprocess.Popen(
            [sys.executable, "-I", str(_SCRIPT), str(export.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=empty,
        ) as process,
    ):

        def ask(request: dict[str, Any]) -> dict[str, Any]:
            said = process.communicate(json.dumps(request), timeout=_TIMEOUT)
            if process.returncode:
                last = (said[1].strip().splitlines() or ["no word"])[-1]
                raise ValueError(
                    "the export must load in a process without tflm. "
                    f"Received: exit code {process.returncode}: {last}"
                )
            return json.loads(said[0])

        try:
            yield ask
        finally:
            process.kill()


def _compare_texts(
    prompts: list[str],
    calls: list[dict[str, Any]],
    texts: list[list[bytes]],
    answers: list[list[str]],
) -> None:
    for call, own_row, other_row in zip(calls, texts, answers, strict=True):
        for prompt, own, other in zip(prompts, own_row, other_row, strict=True):
            if own != bytes.fromhex(other):
                what = f"text behind {prompt!r} with {call}"
                raise _differs(what, own, bytes.fromhex(other))


def _compare_settings(
    settings: GenerationSettings, kept: dict[str, Any]
) -> None:
    other = GenerationSettings.from_dict(kept).to_dict()
    for name, value in settings.to_dict().items():
        if other[name] != value:
            raise _differs(f"setting {name}", value, other[name])


def _differs(what: str, own: Any, other: Any) -> ValueError:
    return ValueError(
        f"the export must do as its model: the {what} differs. "
        f"Expected: {own!r}. Received: {other!r}"
    )
