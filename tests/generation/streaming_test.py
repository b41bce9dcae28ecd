import pytest

from tests.generation.conftest import Alphabet, Surfaces, random_model
from tflm import generation, models
from tflm.generation import GenerationSettings, stream
from tflm.tokenizers import Bytes


@pytest.mark.parametrize("stop", [(), ("a", "é", "e")])
def test_pieces_joined_are_the_text(stop):
    tokenizer = Bytes()
    model = random_model(models.GRU, tokenizer)
    settings = GenerationSettings(stop=stop)
    generator = generation.TextGenerator(model, tokenizer, settings)
    one_step = generation.OneStep(model, tokenizer, settings)
    for seed in range(5):
        call = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": seed}
        text = generator.generate("é", max_new_tokens=60, **call)
        pieces = list(stream(one_step.generate_one_step, "é", 60, **call))
        assert "é" + "".join(pieces) == text["text"].numpy().decode()


def test_no_piece_cuts_a_character():
    surfaces = [b"\xf0\x9f\x98", b"\x80", b"x", b"\xff"]
    one_step = generation.OneStep(
        Alphabet(vocabulary_size=8), Surfaces("abcd", surfaces)
    )
    greedy = {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "seed": 0}
    pieces = list(stream(one_step.generate_one_step, "", 10, **greedy))
    assert pieces == ["\N{GRINNING FACE}", "x", "\ufffd"]
    pieces = list(stream(one_step.generate_one_step, "", 1, **greedy))
    assert pieces == ["\ufffd"]  # nothing came to make it whole


def test_limit_counts_tokens(alphabet, letters):
    one_step = generation.OneStep(alphabet, letters)
    greedy = {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "seed": 0}
    assert [*stream(one_step.generate_one_step, "b", 3, **greedy)] == [*"cde"]
    assert [*stream(one_step.generate_one_step, "h", 9, **greedy)] == [*"ij"]
    assert [*stream(one_step.generate_one_step, "h", 0, **greedy)] == []
