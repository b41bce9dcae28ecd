import numpy as np
import pytest

from tests.generation.conftest import PROMPTS, Alphabet, Surfaces
from tflm import generation


@pytest.fixture(scope="module")
def pairs():
    """Says `ab` for a single id, which are two when they are read."""
    model = Alphabet(vocabulary_size=7, always=6)
    return generation.OneStep(model, Surfaces("abc", ["a", "b", "ab"]))


@pytest.fixture(scope="module")
def spelling(alphabet, letters):
    settings = generation.GenerationSettings(temperature=0.0)
    return generation.OneStep(alphabet, letters, settings)


def outcome(result):
    outputs, states = result
    texts = [text.decode() for text in outputs.numpy()]
    return texts, states["position"].numpy().tolist()


def test_new_row_reads_start_before_its_text(spelling):
    result = spelling.generate_one_step(["", "a", "abc"])
    assert outcome(result) == (["a", "b", "d"], [1, 2, 4])
    assert result[1]["last_id"].numpy().tolist() == [4, 5, 7]


def test_output_fed_back_goes_on(spelling):
    result = spelling.generate_one_step(["", "abc"])
    result = spelling.generate_one_step(*result)
    assert outcome(result) == (["b", "e"], [2, 5])


def test_other_text_is_read_whole(spelling):
    _, states = spelling.generate_one_step(["a", "a"])
    result = spelling.generate_one_step(["defg", "z"], states)
    # Of the unknown, whose id is 1, the alphabet says the next: START, which
    # is never generated, so that the lowest of the equal rest is drawn.
    assert outcome(result)[0][0] == "h"
    assert outcome(result)[1] == [6, 3]


def test_row_ends_and_stays_ended(spelling):
    result = spelling.generate_one_step(["hij", "a"])
    assert outcome(result) == (["", "b"], [4, 2])
    for position, letter in enumerate("cde", 3):
        result = spelling.generate_one_step(*result)
        assert outcome(result) == (["", letter], [4, position])
        assert result[1]["last_id"][0] == 3


def test_empty_text_after_the_start_leaves_the_row(one_step):
    _, states = one_step.generate_one_step(["ab", "c"], seed=1)
    outputs, after = one_step.generate_one_step(["", "日"], states, seed=1)
    assert outputs[0] == b""
    for name, tensor in states.items():
        np.testing.assert_array_equal(after[name][0], tensor[0])
    assert (after["layer_0_hidden"][1] != states["layer_0_hidden"][1])[0]


def test_text_of_the_last_token_feeds_that_token(pairs):
    outputs, states = pairs.generate_one_step(["ab"])
    assert (outputs[0], states["position"][0]) == (b"ab", 3)
    _, again = pairs.generate_one_step(["ab"], states)
    assert again["position"][0] == 4
    _, other = pairs.generate_one_step(["ba"], states)
    assert other["position"][0] == 5


def test_new_row_takes_no_text_for_its_last_token(pairs):
    states = pairs.initial_state(1)
    states["last_id"] += 6
    _, states = pairs.generate_one_step(["ab"], states)
    assert states["position"][0] == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": 3},
        {"seed": list(range(50, 56)), "temperature": 0.7, "top_p": 0.9},
        {"seed": 0, "top_k": [0, 1, 2, 3, 4, 5]},
        {"temperature": 0.0},
    ],
)
def test_loop_gives_the_text_of_the_text_generator(
    one_step, text_generator, settings
):
    outputs, states = one_step.generate_one_step(PROMPTS, **settings)
    joined = outputs
    for _ in range(14):
        outputs, states = one_step.generate_one_step(
            outputs, states, **settings
        )
        joined += outputs
    generated = text_generator.generate(PROMPTS, max_new_tokens=15, **settings)
    np.testing.assert_array_equal(joined, generated["completion"])


def test_end_is_never_generated_if_training_had_none(alphabet, letters):
    settings = generation.GenerationSettings(temperature=0.0)
    spelling = generation.OneStep(alphabet, letters, settings, allow_end=False)
    # Only END was likely after the last letter; the lowest of the rest is a.
    assert outcome(spelling.generate_one_step(["ij"]))[0] == ["a"]


def test_default_seed_is_fresh_each_time(one_step):
    rows = ["ab"] * 40
    first, second = (one_step.generate_one_step(rows)[0] for _ in range(2))
    assert (first != second).numpy().any()


def test_string_alone_is_refused(one_step):
    with pytest.raises(
        ValueError, match=r"`inputs` must be .*inputs.shape=\(\)"
    ):
        one_step.generate_one_step("ab")


def test_one_trace_serves_all_calls(one_step):
    for rows in (["a"], ["a", "", "ab"]):
        result = one_step.generate_one_step(rows)
        one_step.generate_one_step(*result, temperature=0.5, top_k=3)
    assert one_step.step.experimental_get_tracing_count() == 1
