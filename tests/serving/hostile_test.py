"""Requests that are meant to do harm: an answer or the rule, and soon.

The export is asked in a process of its own, which has to live through all of
them. What is expected of each stands beside it.
"""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.generation.conftest import random_model
from tflm import generation, models
from tflm.tokenizers import Words

ANSWER = object()
LARGEST = 2**31 - 1
SETTINGS = generation.GenerationSettings(
    repetition_penalty=1.2, no_repeat_ngram=3, stop=("is a", "rose rose")
)
STEP = {
    "temperature": np.float32(1),
    "top_k": np.int32(0),
    "top_p": np.float32(1),
    "seed": np.int32(1),
}
CALL = {"max_new_tokens": np.int32(5), **STEP}
BEAMS = {
    "num_beams": np.int32(2),
    "max_new_tokens": np.int32(3),
    "length_penalty": np.float32(0),
}
PROMPTS = {
    "not UTF-8": (b"\xff\xfe\xc3", ANSWER),
    "many broken characters": (b"\xf0\x9f" * 1000, ANSWER),
    "NUL": (b"\0", ANSWER),
    "NUL inside": (b"a\0rose\0", ANSWER),
    "newlines": (b"\n" * 5000, ANSWER),
    "the longest": (b"a rose is a " * 8333 + b"rose", ANSWER),
    "a byte too long": (b"a" * 100_001, "at most 100000 bytes"),
    "1 MB of words": (b"a rose " * 2**17, "at most 100000 bytes"),
    "1 MB of spaces": (b" " * 2**20, "at most 100000 bytes"),
}


def strings(*texts):
    return np.array(texts, object)


def of_prompts():
    for name, (prompt, expected) in PROMPTS.items():
        row = {"prompt": strings(prompt)}
        yield name, "generate", {**row, **CALL}, expected
        yield name, "serving_default", row, expected
        yield name, "beam_search", {**row, **BEAMS}, expected
        one = {"inputs": strings(prompt), **STEP, **states(1)}
        yield name, "generate_one_step", one, expected
        k = {"k": np.int32(2)}
        yield name, "next_token_probabilities", {**row, **k}, expected
        # Texts to score may be of any length.
        yield name, "score", {"text": strings(prompt[: 2**15])}, ANSWER


def of_settings():
    wrong = {
        "max_new_tokens": [-1, -(2**31), 10_001, LARGEST],
        "temperature": [-1, -1e-30, np.nan, np.inf, -np.inf],
        "top_k": [-1, -(2**31)],
        "top_p": [0, -1, 1.0001, np.nan, np.inf],
        "seed": [-2, -(2**31)],
    }
    right = {
        "max_new_tokens": [0],
        "temperature": [0, 1e-45, 1e38],
        "top_k": [LARGEST],
        "top_p": [1e-30],
        "seed": [LARGEST],
    }
    two = {"prompt": strings("a", "rose")}
    for values, expected in ((wrong, "`{}` must be"), (right, ANSWER)):
        for name, numbers in values.items():
            rule = expected if expected is ANSWER else expected.format(name)
            for number in numbers:
                value = CALL[name].dtype.type(number)
                yield number, "generate", {**two, **CALL, name: value}, rule
                if name in STEP:
                    given = {**STEP, name: value, **states(2)}
                    given["inputs"] = two["prompt"]
                    yield number, "generate_one_step", given, rule
    for name, value in CALL.items():
        for shape in ([3], [2, 1], [1, 2], [0]):
            given = {**two, **CALL, name: np.full(shape, value)}
            rule = f"`{name}` must be one number or one a row"
            yield shape, "generate", given, rule


def of_other_settings():
    one = {"prompt": strings("a")}
    for k, rule in ((-1, "`k` must be"), (0, "`k` must be"), (LARGEST, ANSWER)):
        given = {**one, "k": np.int32(k)}
        yield f"k={k}", "next_token_probabilities", given, rule
    wrong = {
        "num_beams": [-1, 0, 1025, LARGEST],
        "max_new_tokens": [-1, 10_001],
        "length_penalty": [np.nan, np.inf, -np.inf],
    }
    for name, numbers in wrong.items():
        for number in numbers:
            value = BEAMS[name].dtype.type(number)
            given = {**one, **BEAMS, name: value}
            yield number, "beam_search", given, f"`{name}` must be"
    for penalty in (1e38, -1e38):
        given = {**one, **BEAMS, "length_penalty": np.float32(penalty)}
        yield penalty, "beam_search", given, ANSWER
    for size, rule in (
        (-1, "`batch_size` must be from 0 to 1024"),
        (2**30, "`batch_size` must be from 0 to 1024"),
        (0, ANSWER),
    ):
        yield size, "initial_state", {"batch_size": np.int32(size)}, rule
    none = strings()
    yield "no rows", "generate", {"prompt": none, **CALL}, ANSWER
    yield "no rows", "score", {"text": none}, ANSWER


def states(rows, position=0):
    """The states that `initial_state` gives, at a position."""
    cache = np.zeros((rows, 2, 5, 4), np.float32)
    return {
        "position": np.full(rows, position, np.int32),
        "recent_ids": np.zeros((rows, 1024), np.int32),
        "last_id": np.full(rows, 5, np.int32),
        "stop_state": np.zeros(rows, np.int32),
        "layer_0_keys": cache,
        "layer_0_values": cache,
    }


def of_states():
    for position in (0, 7):
        given = {"inputs": strings("a", "rose"), **STEP}
        good = states(2, position)
        yield position, "generate_one_step", {**given, **good}, ANSWER
        for name, tensor in good.items():
            few = {**given, **good, name: tensor[:1]}
            rule = f"`{name}` must have as many rows as `inputs`"
            yield name, "generate_one_step", few, rule
            if tensor.dtype == np.int32:
                rule = f"`{name}` must be from 0 to"
                for number in (-1, -(2**31), LARGEST):
                    bad = {**given, **good, name: np.full_like(tensor, number)}
                    yield number, "generate_one_step", bad, rule
            elif position:
                bad = {**given, **good, name: np.full_like(tensor, np.nan)}
                rule = "states must be those that an earlier call returned"
                yield name, "generate_one_step", bad, rule


CASES = [
    case
    for group in (of_prompts, of_settings, of_other_settings, of_states)
    for case in group()
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What came of each of the cases, asked one after the other."""
    tokenizer = Words(["\n", "a", "rose", "is", "that", "who"])
    model = random_model(models.GPT, tokenizer, num_layers=1)
    path = generation.export(
        model, tokenizer, tmp_path_factory.mktemp("hostile"), SETTINGS
    )
    script = Path(__file__).with_name("answer_requests.py")
    ended = subprocess.run(
        [sys.executable, "-I", str(script), str(path)],
        input=pickle.dumps([case[1:3] for case in CASES]),
        capture_output=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr.decode()[-2000:]
    return json.loads(ended.stdout)


def test_each_gets_an_answer_or_the_rule(outcomes):
    wrong = []
    for case, (outcome, _) in zip(CASES, outcomes, strict=True):
        *named, expected = case
        answered = isinstance(outcome, dict)
        if expected is ANSWER:
            good = answered
        else:
            good = not answered and expected in outcome
        if not good:
            wrong.append((named[:2], expected, outcome))
    assert wrong == []


def test_none_waits_long(outcomes):
    """A bound far above what any needs: what hangs or never ends is found."""
    assert max(seconds for _, seconds in outcomes) < 60
