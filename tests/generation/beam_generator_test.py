import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.generation.conftest import random_model, texts
from tflm import generation, models
from tflm.generation import NOTHING, GenerationSettings
from tflm.tokenizers import Characters

SMALL = "abc"
LIMIT = 3


@pytest.fixture(scope="module")
def small():
    tokenizer = Characters(SMALL)
    return random_model(models.GRU, tokenizer), tokenizer


@pytest.fixture(scope="module")
def generator(model, tokenizer):
    return generation.BeamGenerator(model, tokenizer)


def brute(model, tokenizer, prompt, allow_end):
    """Every continuation and its nats, END's included, by single passes."""
    found = {}
    scorer = generation.TextScorer(model, tokenizer)
    for length in range(LIMIT + 1):
        for letters in itertools.product(SMALL, repeat=length):
            text = prompt + "".join(letters)
            costs = scorer.score([text, prompt])["log_prob"].numpy()
            nats = costs[0] - costs[1]
            if length == LIMIT:
                found[text] = nats
            elif allow_end:
                ids = [[2, *tokenizer.tokenize(text).numpy()]]
                logits = model(np.array(ids))[0, -1]
                found[text] = nats + tf.nn.log_softmax(logits)[3].numpy()
    return found


@pytest.mark.parametrize("allow_end", [True, False])
def test_wide_beam_finds_the_best_of_all_texts(small, allow_end):
    model, tokenizer = small
    generator = generation.BeamGenerator(model, tokenizer, allow_end=allow_end)
    prompts = ["", "ab"]
    found = generator.search(prompts, num_beams=40, max_new_tokens=LIMIT)
    for row, prompt in enumerate(prompts):
        everything = brute(model, tokenizer, prompt, allow_end)
        best = sorted(everything, key=lambda text: -everything[text])
        best += [""] * (40 - len(best))
        assert texts(found["texts"][row]) == best[:40]
        nats = [everything.get(text, NOTHING) for text in best]
        count = min(len(everything), 40)
        np.testing.assert_allclose(
            found["scores"][row][:count], nats[:count], rtol=1e-4, atol=1e-4
        )
        assert (found["scores"][row][count:] == NOTHING).numpy().all()


def test_scores_are_those_of_the_scorer(tokenizer):
    model = random_model(models.GPT, tokenizer)
    generator = generation.BeamGenerator(model, tokenizer, allow_end=False)
    found = generator.search(["ab c", ""], num_beams=[4, 2], max_new_tokens=9)
    scorer = generation.TextScorer(model, tokenizer)
    for row, prompt in enumerate(["ab c", ""]):
        there = [text for text in texts(found["texts"][row]) if text]
        assert len(there) == len(set(there)) == [4, 2][row]
        costs = scorer.score([*there, prompt])["log_prob"].numpy()
        np.testing.assert_allclose(
            found["scores"][row][: len(there)],
            costs[:-1] - costs[-1],
            rtol=1e-4,
            atol=1e-4,
        )


def test_one_beam_is_greedy(model, tokenizer):
    prompts = ["", "ab", "日é\n" * 7]
    generator = generation.BeamGenerator(model, tokenizer, allow_end=False)
    plain = generation.TextGenerator(model, tokenizer, allow_end=False)
    found = generator.search(prompts, num_beams=1, max_new_tokens=8)
    greedy = plain.generate(prompts, temperature=0.0, max_new_tokens=8)
    np.testing.assert_array_equal(found["texts"][:, 0], greedy["text"])


def test_rules_hold_in_the_beam(model, tokenizer):
    settings = GenerationSettings(
        no_repeat_ngram=1, banned_tokens=("a",), stop=("b", "c")
    )
    generator = generation.BeamGenerator(
        model, tokenizer, settings, allow_end=False
    )
    found = generator.search("日", num_beams=6, max_new_tokens=5)
    for text in texts(found["texts"]):
        assert len(set(text)) == len(text)
        assert "a" not in text
        inner = text[1:-1]
        assert "b" not in inner
        assert "c" not in inner
        assert len(text) == 6 or text[-1] in "bc"


@pytest.mark.parametrize("method", ["multinomial", "stochastic"])
def test_drawn_beams_of_the_export_are_those_of_python(
    method, model, tokenizer, generator, loaded
):
    call = {
        "num_beams": [3, 2],
        "max_new_tokens": 6,
        "length_penalty": 0.5,
        "temperature": [1.0, 0.0],
        "top_k": 6,
        "top_p": 0.9,
        "seed": [4, 9],
    }
    expected = generator.search(["ab", ""], method=method, **call)
    search = loaded.signatures[f"{method}_beam_search"]
    specs = search.structured_input_signature[1]
    served = search(
        prompt=tf.constant(["ab", ""]),
        **{n: tf.constant(v, specs[n].dtype) for n, v in call.items()},
    )
    np.testing.assert_array_equal(served["texts"], expected["texts"])
    np.testing.assert_allclose(
        served["scores"], expected["scores"], rtol=1e-4, atol=1e-5
    )
    # A temperature of 0 leaves one text alone.
    plain = generation.TextGenerator(model, tokenizer)
    greedy = plain.generate([""], temperature=0.0, max_new_tokens=6)
    assert texts(served["texts"][1]) == [*texts(greedy["text"]), "", ""]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"num_beams": 0}, "`num_beams` must be from 1 to 1024"),
        ({"num_beams": 2000}, "`num_beams` must be from 1 to 1024"),
        ({"length_penalty": float("nan")}, "`length_penalty` must be finite"),
        ({"max_new_tokens": -1}, "`max_new_tokens` must be from 0"),
    ],
)
def test_broken_rules_are_refused(call, message, generator):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        generator.search("a", **call)


def test_what_is_no_method_is_refused(generator):
    with pytest.raises(ValueError, match="one of likeliest, multinomial"):
        generator.search("a", method="greedy")
    with pytest.raises(ValueError, match="likeliest takes no top_k"):
        generator.search("a", top_k=3)
    with pytest.raises(ValueError, match=r"`prompts` must be .*=\(1, 1\)"):
        generator.search([["a"]])


def test_no_rows_and_no_tokens(generator):
    found = generator.search(tf.zeros([0], tf.string), num_beams=2)
    assert found["texts"].shape[0] == 0
    found = generator.search(["ab"], num_beams=2, max_new_tokens=0)
    assert texts(found["texts"][0]) == ["ab", ""]


@pytest.mark.parametrize("method", ["likeliest", "stochastic"])
def test_one_trace_serves_all_sizes(small, method):
    settings = GenerationSettings(stop=("ab",), no_repeat_ngram=2)
    generator = generation.BeamGenerator(*small, settings)
    for prompts, beams in ((["a"], 1), (["", "b", "c" * 300], [2, 1, 4])):
        generator.search(
            prompts, num_beams=beams, max_new_tokens=3, method=method
        )
    assert generator.searches[method].experimental_get_tracing_count() == 1
