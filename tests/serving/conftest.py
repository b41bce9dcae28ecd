import functools
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.generation.conftest import VOCABULARY, random_model
from tflm import generation, models
from tflm.generation import GenerationSettings
from tflm.tokenizers import Characters, SentencePiece, Words

WORDS = ["\n", "a", "rose", "is", "that", "who"]
KINDS = {
    "characters": lambda: Characters(VOCABULARY),
    "words": lambda: Words(WORDS),
    "unigram": lambda: SentencePiece.train(["a rose is a rose"] * 3),
}
SETTINGS = GenerationSettings(
    max_new_tokens=6,
    temperature=0.7,
    seed=5,
    stop=("is a",),
    min_p=0.01,
    max_new_tokens_limit=50,
    prompt_bytes_limit=5000,
)


class Made(NamedTuple):
    """An export, and what writes and scores texts as it should."""

    path: Path
    generator: generation.TextGenerator
    scorer: generation.TextScorer


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Gives the export of a kind of tokenizer, which nobody may change."""

    @functools.cache
    def made_of(kind):
        given = []

        def check(unused_path, *written_by):
            given.extend(written_by)

        tokenizer = KINDS[kind]()
        model = random_model(models.GRU, tokenizer)
        folder = tmp_path_factory.mktemp("made")
        path = generation.export(
            model, tokenizer, folder / "versions", SETTINGS, check=check
        )
        # Nothing may depend on the place where it was made.
        return Made(path.rename(folder / kind), *given)

    return made_of
