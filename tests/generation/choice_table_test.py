"""The tables of choices, beside the text and the definition of the filters."""

import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.generation.conftest import (
    VOCABULARY,
    Alphabet,
    random_model,
    weights_of,
)
from tflm import generation, models
from tflm.generation import GenerationSettings

FIRST = reference.FIRST
CALLS = {
    "greedy": {"temperature": 0.0},
    "plain": {"seed": 4},
    "filters": {"temperature": 0.6, "top_k": 5, "top_p": 0.9, "seed": 2},
}
RULES = {
    "none": {},
    "all": {"min_p": 0.05, "repetition_penalty": 1.3, "no_repeat_ngram": 2},
}


@pytest.fixture(scope="module")
def plain(tokenizer):
    return random_model(models.GRU, tokenizer)


@pytest.fixture(scope="module", params=RULES)
def table(request, plain, tokenizer):
    settings = GenerationSettings(**RULES[request.param])
    return generation.ChoiceTable(plain, tokenizer, settings, allow_end=False)


def expected(table, ids, call):
    """Raw and filtered probabilities [V] behind ids, by the reference."""
    rules = {**RULES["none"], **table.settings.to_dict()}
    states = [np.zeros((2, 12))]
    for token in ids:
        weights = weights_of(table.model)
        logits = reference.read(reference.gru, weights, states, token)
    raw = np.exp(logits - np.logaddexp.reduce(logits))
    allowed = reference.constrain(
        logits, ids, rules["repetition_penalty"], rules["no_repeat_ngram"]
    )
    options = {n: v for n, v in call.items() if n != "seed"}
    narrow = reference.narrow(
        allowed,
        **{"temperature": 1.0, "top_k": 0, "top_p": 1.0, **options},
        allow_end=False,
    )
    narrow[np.exp(narrow - narrow.max()) < rules["min_p"]] = -np.inf
    if call.get("temperature") == 0:
        return raw, np.eye(len(narrow))[narrow.argmax()]
    return raw, np.exp(narrow - np.logaddexp.reduce(narrow))


@pytest.mark.parametrize("name", CALLS)
def test_tables_are_those_of_the_reference(name, table, tokenizer):
    call, k, prompt = CALLS[name], 4, "ab é"
    text, steps = table.choices(prompt, k, max_new_tokens=8, **call)
    written = table.generate(prompt, max_new_tokens=8, **call)
    assert text == written["text"].numpy().decode()
    ids = [reference.START, *tokenizer.tokenize(prompt).numpy().tolist()]
    assert len(steps) == 8
    for step in steps:
        raw, filtered = expected(table, ids, call)
        raw[[0, reference.START]] = -1
        order = np.argsort(-raw, kind="stable")[:k].tolist()
        [drawn] = [place for place, choice in enumerate(step) if choice.drawn]
        id_ = FIRST + VOCABULARY.index(step[drawn].text.decode())
        order += [id_] * (drawn == k)
        assert order[drawn] == id_
        assert len(step) == len(order)
        for choice, token in zip(step, order, strict=True):
            np.testing.assert_allclose(choice.raw, raw[token], rtol=1e-3)
            np.testing.assert_allclose(
                choice.filtered, filtered[token], rtol=1e-3, atol=1e-6
            )
        ids.append(id_)
    shown = "".join(c.text.decode() for step in steps for c in step if c.drawn)
    assert prompt + shown == text


def test_end_is_a_step_of_its_own(alphabet, letters):
    table = generation.ChoiceTable(alphabet, letters)
    text, steps = table.choices("gh", k=1, temperature=0.0)
    assert text == "ghij"
    assert [(s[0].text, s[0].is_end, s[0].drawn) for s in steps] == [
        (b"i", False, True),
        (b"j", False, True),
        (b"", True, True),
    ]


def test_text_is_cut_at_a_stop_string(letters):
    settings = GenerationSettings(stop=("ef",))
    model = Alphabet(vocabulary_size=letters.vocabulary_size)
    table = generation.ChoiceTable(model, letters, settings)
    text, steps = table.choices("bc", k=1, temperature=0.0)
    assert (text, len(steps)) == ("bcdef", 3)


def test_a_fresh_seed_gives_the_tables_of_its_own_text(table):
    text, steps = table.choices("", k=1, seed=-1, max_new_tokens=30)
    shown = "".join(c.text.decode() for step in steps for c in step if c.drawn)
    assert shown == text
    assert table.choices("", k=1, seed=-1, max_new_tokens=30)[0] != text


def test_wrong_values_are_refused(table):
    with pytest.raises(ValueError, match="`k` must be at least 1"):
        table.choices("a", k=0)
    with pytest.raises(TypeError, match="no such settings: heat"):
        table.choices("a", heat=1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="temperature"):
        table.choices("a", temperature=-1.0)
