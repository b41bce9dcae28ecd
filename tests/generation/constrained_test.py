"""What an export fixes, in Python, by `generate` and token by token."""

import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.generation.conftest import (
    PROMPTS,
    VOCABULARY,
    random_model,
    texts,
    weights_of,
)
from tflm import generation, models
from tflm.generation import GenerationSettings

RULES = {
    "min_p": {"min_p": 0.7},
    "penalty": {"repetition_penalty": 6.0},
    "ngram": {"no_repeat_ngram": 2},
    "banned": {"banned_tokens": ("a", "日")},
    "stop": {"stop": ("b", "a c", "é")},
    "all": {
        "min_p": 0.05,
        "repetition_penalty": 1.2,
        "no_repeat_ngram": 3,
        "banned_tokens": (" ",),
        "stop": ("bc", "日日", "c"),
    },
}
STEPS = 14
ROWS = len(PROMPTS)
CALL = {
    "temperature": np.array([0.0, 0.5, 1.0, 1.7, 1.0, 0.8], np.float32),
    "top_k": np.array([0, 5, 0, 6, 0, 7], np.int32),
    "top_p": np.array([1.0, 0.9, 1.0, 0.8, 1.0, 0.95], np.float32),
    "seed": np.arange(ROWS, dtype=np.int32) * 11 + 3,
}


def expected(weights, rules):
    """The reference's completions and reasons under the rules."""
    known = dict(rules)
    names = known.pop("banned_tokens", ())
    banned = [reference.FIRST + VOCABULARY.index(name) for name in names]
    rows = []
    for row, prompt in enumerate(PROMPTS):
        own = {name: values[row].item() for name, values in CALL.items()}
        rows.append(
            reference.generate(
                reference.gru,
                weights,
                VOCABULARY,
                prompt,
                max_new_tokens=STEPS,
                banned=banned,
                **known,
                **own,
            )
        )
    return [[*column] for column in zip(*rows, strict=True)]


@pytest.fixture(scope="module")
def plain(tokenizer):
    return random_model(models.GRU, tokenizer)


@pytest.fixture(scope="module")
def free(plain, tokenizer):
    return generation.TextGenerator(plain, tokenizer)


@pytest.mark.parametrize("name", RULES)
def test_rules_hold_as_in_the_reference(name, plain, free, tokenizer):
    settings = GenerationSettings(**RULES[name])
    completions, reasons = expected(weights_of(plain), RULES[name])
    generator = generation.TextGenerator(plain, tokenizer, settings)
    generated = generator.generate(PROMPTS, max_new_tokens=STEPS, **CALL)
    assert texts(generated["completion"]) == completions
    assert texts(generated["finish_reason"]) == reasons
    sizes = [len(completion) for completion in completions]
    assert generated["num_tokens"].numpy().tolist() == sizes
    changed = free.generate(PROMPTS, max_new_tokens=STEPS, **CALL)
    assert texts(changed["completion"]) != completions
    # Token by token the text is the same.
    one_step = generation.OneStep(
        plain, tokenizer, settings, reads_as=generator
    )
    outputs, states = one_step.generate_one_step(PROMPTS, **CALL)
    joined = outputs
    for _ in range(STEPS - 1):
        outputs, states = one_step.generate_one_step(outputs, states, **CALL)
        joined += outputs
    assert texts(joined) == completions
    # Of other prompts too, and there are no traces but one.
    for prompts in (["a"], ["", "b", "c" * 900], ["ab c"] * 7):
        generator.generate(prompts, max_new_tokens=3)
    assert generator.texts.experimental_get_tracing_count() == 1


def test_export_keeps_the_rules(plain, tokenizer, tmp_path):
    settings = GenerationSettings(**RULES["all"])
    path = generation.export(plain, tokenizer, tmp_path, settings)
    loaded = tf.saved_model.load(path)
    completions, reasons = expected(weights_of(plain), RULES["all"])
    call = {name: tf.constant(value) for name, value in CALL.items()}
    generated = loaded.signatures["generate"](
        prompt=tf.constant(PROMPTS), max_new_tokens=tf.constant(STEPS), **call
    )
    assert texts(generated["completion"]) == completions
    assert texts(generated["finish_reason"]) == reasons
    states = loaded.signatures["initial_state"](tf.constant(ROWS))
    assert states["recent_ids"].shape == (ROWS, 1024)
    outputs, joined = tf.constant(PROMPTS), tf.constant([""] * ROWS)
    for _ in range(STEPS):
        states = loaded.signatures["generate_one_step"](
            inputs=outputs, **call, **states
        )
        outputs = states.pop("outputs")
        joined += outputs
    assert texts(joined) == completions


def test_stop_string_across_tokens_cuts_the_last_one(alphabet, letters):
    settings = GenerationSettings(temperature=0.0, stop=("cde", "x"))
    spelling = generation.TextGenerator(alphabet, letters, settings)
    generated = spelling.generate(["", "abcd", "f"])
    assert texts(generated["completion"]) == ["abcde", "efghij", "ghij"]
    assert texts(generated["finish_reason"]) == ["stop", "end", "end"]


def test_row_that_was_stopped_goes_on_with_another_text(alphabet, letters):
    settings = GenerationSettings(temperature=0.0, stop=("bc",))
    one_step = generation.OneStep(alphabet, letters, settings)
    outputs, states = one_step.generate_one_step(["a"])
    outputs, states = one_step.generate_one_step(outputs, states)
    assert texts(outputs) == ["c"]
    outputs, after = one_step.generate_one_step(outputs, states)
    assert texts(outputs) == [""]
    np.testing.assert_array_equal(after["position"], states["position"])
    outputs, states = one_step.generate_one_step(["ef"], after)
    assert texts(outputs) == ["g"]


def test_tokens_that_are_none_cannot_be_banned(plain, tokenizer):
    for tokens, message in ((("ab",), "'ab'"), (tuple(VOCABULARY), "leave a")):
        settings = GenerationSettings(banned_tokens=tokens)
        with pytest.raises(ValueError, match=f"`banned_tokens` .*{message}"):
            generation.TextGenerator(
                plain, tokenizer, settings, allow_end=False
            )


def test_limit_of_new_tokens_holds_for_each_call(plain, tokenizer):
    settings = GenerationSettings(max_new_tokens=3, max_new_tokens_limit=5)
    generator = generation.TextGenerator(
        plain, tokenizer, settings, allow_end=False
    )
    generated = generator.generate(["a", "b"], max_new_tokens=[5, 0])
    assert generated["num_tokens"].numpy().tolist() == [5, 0]
    message = r"`max_new_tokens` must be from 0 to 5.*max_new_tokens=.*\[6\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        generator.generate(["a", "b"], max_new_tokens=[5, 6])


def test_limit_of_a_prompts_bytes_holds_wherever_one_is_read(plain, tokenizer):
    settings = GenerationSettings(prompt_bytes_limit=5, max_new_tokens=2)
    fits, long = ["a", "日bc"], ["a", "日abc"]  # 5 bytes and 6
    scorer = generation.TextScorer(plain, tokenizer, prompt_bytes_limit=5)
    one_step = generation.OneStep(plain, tokenizer, settings)
    generator, beams = (
        kind(plain, tokenizer, settings, reads_as=one_step)
        for kind in (generation.TextGenerator, generation.BeamGenerator)
    )
    for read in (
        generator.generate,
        beams.search,
        one_step.generate_one_step,
        scorer.next_token_probabilities,
    ):
        read(fits)
        message = r"(?s)at most 5 bytes. Received: bytes=.*\[6\]"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            read(long)
    assert scorer.score(long)["num_bytes"].numpy().tolist() == [1, 6]


@pytest.mark.parametrize("on_oov", ["unk", "drop", "error"])
def test_what_the_vocabulary_lacks(on_oov, plain, free, tokenizer):
    generator, call = free, {"max_new_tokens": 8, "seed": 3}
    if on_oov != free.settings.on_oov:
        settings = GenerationSettings(on_oov=on_oov)
        generator = generation.TextGenerator(plain, tokenizer, settings)
    known, unknown = (
        free.generate(text, **call)["completion"] for text in ("abc", "a∞bc")
    )
    assert known != unknown
    assert generator.generate("abc", **call)["completion"] == known
    if on_oov == "error":
        with pytest.raises(
            tf.errors.InvalidArgumentError,
            match=r"vocabulary lacks.*pieces=\] \[1\] \[∞\]",
        ):
            generator.generate("a∞bc", **call)
        return
    generated = generator.generate("a∞bc", **call)
    assert generated["text"].numpy().startswith("a∞bc".encode())
    assert generated["completion"] == (known if on_oov == "drop" else unknown)
