"""Many clients at once, and what joins and compares their answers."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tflm import config, generation, models
from tflm.datasets.python_docs import python_docs_dataset_builder
from tflm.serving import clients
from tflm.tokenizers import Characters

PLAN = {"prompts": ["", "a", "Words: \N{SNOWMAN}"], "requests": 60}


def doubled(inputs):
    return {"twice": 2 * inputs["number"]}


def test_batch_is_joined_and_divided():
    begun, go_on = threading.Event(), threading.Event()

    def answer(inputs):
        begun.set()
        go_on.wait(10)
        return doubled(inputs)

    batcher = clients.Batcher(answer)
    answers = {}

    def ask(number, rows):
        inputs = {"number": np.full(rows, number)}
        answers[number] = batcher.ask(inputs)["twice"].tolist()

    # Both workers are kept busy: what comes now waits, and is joined.
    asked = [threading.Thread(target=ask, args=(n, n)) for n in range(1, 9)]
    for number, thread in enumerate(asked):
        thread.start()
        if number < 2:
            assert begun.wait(10)
            begun.clear()
    while batcher._waiting.qsize() < 6:
        pass
    go_on.set()
    for thread in asked:
        thread.join()
    assert answers == {n: [2 * n] * n for n in range(1, 9)}
    assert sum(batcher.batch_sizes) == 36
    assert len(batcher.batch_sizes) < 8
    assert max(batcher.batch_sizes) <= 64 + 8


def test_error_reaches_every_client_of_its_batch():
    def answer(inputs):
        raise ValueError("no")

    batcher = clients.Batcher(answer)
    requests = [("broken", {"number": np.ones(1)})] * 20
    answers, _ = clients.ask_at_once(requests, {"broken": batcher}, clients=4)
    assert [str(answer) for answer in answers] == ["no"] * 20


@pytest.mark.parametrize(
    ("alone", "batched", "expected"),
    [
        ({"text": ["a"]}, {"text": ["a"]}, True),
        ({"text": ["a"]}, {"text": ["b"]}, False),
        ({"num_tokens": [1]}, {"num_tokens": [2]}, False),
        ({"log_prob": [-1.0]}, {"log_prob": [-1.0001]}, True),
        ({"log_prob": [-1.0]}, {"log_prob": [-1.1]}, False),
        ({"probabilities": [[0.5]]}, {"probabilities": [[0.5, 0.0]]}, True),
        ({"probabilities": [[0.5]]}, {"probabilities": [[0.5, 0.1]]}, False),
        ({"texts": [[b"a"]]}, {"texts": [[b"a", b""]]}, True),
        ({"texts": [[b"a"]]}, {"texts": [[b"a", b"b"]]}, False),
    ],
)
def test_answers_are_compared_in_their_own_columns(alone, batched, expected):
    def arrays(values):
        texts = ("text", "texts")
        return {
            name: np.array(value, object if name in texts else None)
            for name, value in values.items()
        }

    assert clients.same(arrays(alone), arrays(batched)) is expected


def answers_of(fault):
    """Signatures that answer each row by itself, but for a fault."""

    def signature(inputs):
        rows = clients._size(inputs)
        first = next(iter(inputs.values()))
        answer = np.array([hash(str(value)) for value in first])
        return {"text": fault(answer, rows)}

    names = ("generate", "score", "beam_search", "next_token_probabilities")
    return lambda export: dict.fromkeys(names, signature)


def test_report_counts_what_is_lost_and_what_differs(monkeypatch):
    def fail(answer, rows):
        if rows > 4:  # more than any request has
            raise ValueError("too many rows")
        return answer

    for fault, lost, different in (
        (lambda answer, rows: answer, False, False),
        (lambda answer, rows: answer + (rows > 4), False, True),
        (fail, True, False),
    ):
        monkeypatch.setattr(clients, "_signatures", answers_of(fault))
        report = clients.report(Path(), {**PLAN, "requests": 400})
        assert (report["lost"] > 0) is lost
        assert (report["different"] > 0) is different
        assert report["rows_per_batch"] > 2


def test_requests_mix_all_signatures_prompts_and_settings():
    requests = clients.requests_of(PLAN)
    assert {name for name, _ in requests} == {
        "generate",
        "score",
        "beam_search",
        "next_token_probabilities",
    }
    drawn = [inputs for name, inputs in requests if name == "generate"]
    for name in ("temperature", "top_k", "top_p", "seed", "max_new_tokens"):
        assert len({v for inputs in drawn for v in inputs[name]}) > 1
    assert {len(inputs["prompt"]) for inputs in drawn} == {1, 2, 4}


def test_default_model_answers_sixteen_clients(tmp_path):
    """The default run's model and vocabulary, before it has learnt anything."""
    paragraphs = python_docs_dataset_builder.paragraphs()
    documents = [text for _, text in paragraphs]
    tokenizer = Characters.train(documents)
    shape = config.Config().model
    model = models.build(shape, tokenizer.vocabulary_size)
    path = generation.export(model, tokenizer, tmp_path)
    short = [text[:60] for text in documents[:20]]
    prompts = ["", "The ", "\N{SNOWMAN}", *short, documents[0] * 9]
    ended = subprocess.run(
        [sys.executable, "-I", clients.__file__, str(path)],
        input=json.dumps({"prompts": prompts, "max_new_tokens": 12}),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    report = json.loads(ended.stdout)
    assert (report["requests"], report["clients"]) == (200, 16)
    assert (report["lost"], report["different"]) == (0, 0), report
    assert report["rows_per_batch"] > 2
    assert report["memory_growth_mib"] < 100
