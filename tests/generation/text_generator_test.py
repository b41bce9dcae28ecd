import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.generation.conftest import (
    PROMPTS,
    VOCABULARY,
    Alphabet,
    Surfaces,
    random_model,
    weights_of,
)
from tflm import generation, models

CELLS = {models.GRU: reference.gru, models.LSTM: reference.lstm}


@pytest.fixture(scope="module")
def spelling(alphabet, letters):
    settings = generation.GenerationSettings(temperature=0.0)
    return generation.TextGenerator(alphabet, letters, settings)


def texts(tensor):
    return [text.decode() for text in tensor.numpy()]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.0},
        {"seed": 11},
        {"seed": 5, "temperature": 0.6},
        {"seed": 6, "temperature": 2.0, "top_k": 3},
        {"seed": 7, "top_p": 0.8},
        {"seed": 8, "temperature": 1.5, "top_k": 6, "top_p": 0.7},
    ],
)
@pytest.mark.parametrize("allow_end", [True, False])
def test_texts_are_those_of_the_reference(
    generators, kind, settings, allow_end
):
    generator, weights = generators[kind, allow_end]
    generated = generator.generate(PROMPTS, max_new_tokens=12, **settings)
    settings = {"seed": 0, **settings, "allow_end": allow_end}
    for row, prompt in enumerate(PROMPTS):
        completion, reason = reference.generate(
            CELLS[kind],
            weights,
            VOCABULARY,
            prompt,
            max_new_tokens=12,
            **{**settings, "seed": settings["seed"] + row},
        )
        assert texts(generated["completion"])[row] == completion
        assert texts(generated["text"])[row] == prompt + completion
        assert texts(generated["finish_reason"])[row] == reason
        assert generated["num_tokens"][row] == len(completion)


@pytest.fixture(scope="module")
def generators(tokenizer):
    made = {}
    for kind in CELLS:
        model = random_model(kind, tokenizer, num_layers=2)
        for allow_end in (True, False):
            generator = generation.TextGenerator(
                model, tokenizer, allow_end=allow_end
            )
            made[kind, allow_end] = generator, weights_of(model)
    return made


def test_row_is_the_same_alone_and_among_others(text_generator):
    random = np.random.default_rng(0)
    rows = 64
    prompts = ["".join(random.choice(list(VOCABULARY), n)) for n in range(rows)]
    settings = {
        "max_new_tokens": random.integers(0, 30, rows).astype(np.int32),
        "temperature": random.choice([0, 0.5, 1, 2], rows).astype(np.float32),
        "top_k": random.choice([0, 1, 4], rows).astype(np.int32),
        "top_p": random.choice([0.5, 0.9, 1], rows).astype(np.float32),
        "seed": random.integers(0, 2**31 - 1, rows).astype(np.int32),
    }
    together = text_generator.generate(prompts, **settings)
    for row in range(0, rows, 7):
        own = {name: values[row] for name, values in settings.items()}
        alone = text_generator.generate(prompts[row], **own)
        for name, value in alone.items():
            assert value == together[name][row], name


def test_spelling_stops_at_end_and_at_the_limit(spelling):
    generated = spelling.generate(
        ["", "c", "j", "ab"], max_new_tokens=[4, 99, 5, 0]
    )
    assert texts(generated["completion"]) == ["abcd", "defghij", "", ""]
    assert texts(generated["text"]) == ["abcd", "cdefghij", "j", "ab"]
    assert generated["num_tokens"].numpy().tolist() == [4, 7, 0, 0]
    reasons = ["length", "end", "end", "length"]
    assert texts(generated["finish_reason"]) == reasons


def test_end_right_at_the_limit_is_not_reached(spelling):
    generated = spelling.generate(["h", "h"], max_new_tokens=[2, 3])
    assert texts(generated["completion"]) == ["ij", "ij"]
    assert texts(generated["finish_reason"]) == ["length", "end"]


def test_loop_ends_with_the_last_row(spelling):
    # As many steps as this number allows would take hours.
    generated = spelling.generate(["a", "i"], max_new_tokens=2**31 - 1)
    assert generated["num_tokens"].numpy().tolist() == [9, 1]


def test_no_tokens_wanted_and_no_rows(text_generator):
    generated = text_generator.generate(["ab", ""], max_new_tokens=0)
    assert texts(generated["text"]) == ["ab", ""]
    assert texts(generated["finish_reason"]) == ["length", "length"]
    generated = text_generator.generate(tf.zeros([0], tf.string))
    assert all(tensor.shape == (0,) for tensor in generated.values())


def test_string_alone_gives_scalars(spelling):
    generated = spelling.generate("fg")
    assert generated["text"].shape == ()
    assert generated["text"].numpy() == b"fghij"


def test_matrix_of_prompts_is_refused(text_generator):
    with pytest.raises(ValueError, match=r"`prompts` must be .*=\(1, 1\)"):
        text_generator.generate([["a"]])


def test_prompt_stands_unchanged_or_made_valid(text_generator):
    prompts = [b"\xef\xbb\xbfZ\x00 \xe2\x88\x9e\r\n", b"a\xffb", b"\xe6\x97"]
    generated = text_generator.generate(prompts, max_new_tokens=5, seed=2)
    for row, start in enumerate(["\ufeffZ\0 ∞\r\n", "a\ufffdb", "\ufffd"]):
        completion = texts(generated["completion"])[row]
        assert texts(generated["text"])[row] == start + completion
        assert (
            generated["completion_bytes"][row] == generated["completion"][row]
        )


def test_broken_utf8_from_the_tokenizer_is_repaired():
    surfaces = [b"\xf0\x9f\x98", b"\x80", b"x", b"\xff"]
    spelling = generation.TextGenerator(
        Alphabet(vocabulary_size=8),
        Surfaces("abcd", surfaces),
        generation.GenerationSettings(temperature=0.0),
    )
    generated = spelling.generate("")
    whole = b"\xf0\x9f\x98\x80x\xff"
    assert generated["completion_bytes"] == whole
    repaired = "\N{GRINNING FACE}x\ufffd".encode()
    assert generated["completion"] == generated["text"] == repaired


def test_character_begun_in_the_prompt_is_whole_in_the_text():
    spelling = generation.TextGenerator(
        Alphabet(vocabulary_size=5, always=4), Surfaces("a", [b"\x80"])
    )
    generated = spelling.generate(b"\xf0\x9f\x98", max_new_tokens=1)
    assert generated["text"] == "\N{GRINNING FACE}".encode()
    assert generated["completion"] == "\ufffd".encode()


def test_one_trace_serves_all_calls(text_generator):
    generate = text_generator.generate
    for prompts in ("a", ["", "b"], ["ab c" * 200], ["c"] * 9):
        generate(prompts, max_new_tokens=2)
    generate("a", max_new_tokens=[1], temperature=0.5, seed=[3])
    assert text_generator.texts.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "`temperature` must be finite and at least 0"),
        ({"top_k": [1, -2]}, r"`top_k` must be from 0 .*top_k=.*-2"),
        ({"top_p": 0.0}, "`top_p` must be above 0 and at most 1"),
        ({"seed": -5}, "`seed` must be from -1"),
        ({"max_new_tokens": -1}, "`max_new_tokens` must be from 0"),
        ({"seed": [1, 2, 3]}, "`seed` must be one number or one a row"),
    ],
)
def test_invalid_settings_are_refused(text_generator, settings, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        text_generator.generate(["a", "b"], **settings)
