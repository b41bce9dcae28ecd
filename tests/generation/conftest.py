from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import generation, models
from tflm.tokenizers import (
    Bytes,
    Characters,
    SentencePiece,
    Tokenizer,
    Words,
)

# Two, three and four bytes, a combining mark and a newline among them.
VOCABULARY = "ab c\né\N{COMBINING ACUTE ACCENT}日\N{GRINNING FACE}"

# Of every kind of tokenizer and of every kind of model one at least.
PAIRS = ("words-lstm", "bytes-simple_rnn", "characters-gpt", "unigram-gru")

EXPORT_SETTINGS = generation.GenerationSettings(
    max_new_tokens=9, temperature=0.5, top_k=6, top_p=0.7, seed=4
)

PROMPTS = ["", "a", "ab cab", "日é\n" * 7, "what is not known: ∞", "c" * 30]


TYPES = {
    "max_new_tokens": tf.int32,
    "temperature": tf.float32,
    "top_k": tf.int32,
    "top_p": tf.float32,
    "seed": tf.int32,
}


class Alphabet(models.LanguageModel):
    """After each id the next one is all but certain; the last one ends.

    With `always` it is that id, whatever was read.
    """

    def __init__(self, *, always=None, **options):
        super().__init__(**options)
        self.always = always

    def call(
        self,
        ids,
        mask=None,
        initial_state=None,
        return_state=False,
        training=None,
    ):
        if mask is None:
            mask = tf.ones_like(ids, tf.bool)
        following = tf.where(ids == 2, 4, ids + 1)
        following = tf.where(following == self.vocabulary_size, 3, following)
        if self.always is not None:
            following = tf.fill(tf.shape(ids), self.always)
        logits = 100 * tf.one_hot(following, self.vocabulary_size)
        # A masked position must not be looked at.
        logits = tf.where(mask[..., tf.newaxis], logits, np.nan)
        read = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
        state = {"position": initial_state["position"] + read}
        return (logits, state) if return_state else logits

    def get_initial_state(self, batch_size):
        return {"position": tf.zeros([batch_size], tf.int32)}


class Surfaces(Characters):
    """Reads letters but says what it is told to say for an id."""

    def __init__(self, vocabulary, surfaces):
        super().__init__(vocabulary)
        self.surfaces = surfaces

    def detokenize(self, ids):
        surfaces = np.array(["", "?", "", "", *self.surfaces], object)
        return tf.strings.reduce_join(tf.gather(surfaces, ids), axis=-1)


@pytest.fixture(scope="session")
def letters():
    return Characters("abcdefghij")


@pytest.fixture(scope="session")
def alphabet(letters):
    return Alphabet(vocabulary_size=letters.vocabulary_size)


@pytest.fixture(scope="session")
def tokenizer():
    return Characters(VOCABULARY)


def random_model(kind, tokenizer, **options):
    """A small model whose weights are large enough to have preferences."""
    keras.utils.set_random_seed(5)
    shape = {"embedding_dim": 5, "units": 12}
    if kind is models.GPT:
        shape = {
            "embedding_dim": 8,
            "num_heads": 2,
            "num_layers": 2,
            "context": 5,
        }
    shape |= options
    model = kind(vocabulary_size=tokenizer.vocabulary_size, **shape)
    model.set_weights([2 * array for array in model.get_weights()])
    return model


def weights_of(model):
    """The arrays of a recurrent model, in the reference's order."""
    layers = [model.embedding, *model.recurrent, model.projection]
    return [array for layer in layers for array in layer.get_weights()]


@pytest.fixture(scope="session")
def model(tokenizer):
    return random_model(models.GRU, tokenizer)


@pytest.fixture(scope="session")
def text_generator(model, tokenizer):
    return generation.TextGenerator(model, tokenizer)


@pytest.fixture(scope="session")
def one_step(model, tokenizer):
    return generation.OneStep(model, tokenizer)


@pytest.fixture(scope="session")
def path(model, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved_models") / "small"
    return generation.export(model, tokenizer, folder, EXPORT_SETTINGS)


@pytest.fixture(scope="session")
def loaded(path):
    return tf.saved_model.load(path)


class Export(NamedTuple):
    """A model, the SavedModel made of it, and prompts that suit it."""

    model: models.LanguageModel
    tokenizer: Tokenizer
    prompts: list[str]
    path: Path
    loaded: Any


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    """The exports of `PAIRS`, by name."""
    rose = ["", "a rose", "is a rose \n", "who is a lily ?", "rose " * 40]
    kinds = {
        "words": (Words(["\n", "a", "rose", "is", "that", "who"]), rose),
        "bytes": (Bytes(), [*PROMPTS, "\N{GRINNING FACE}"]),
        "characters": (Characters(VOCABULARY), PROMPTS),
        "unigram": (SentencePiece.train(rose), PROMPTS),
    }
    made = {}
    for pair in PAIRS:
        kind, model = pair.split("-")
        tokenizer, prompts = kinds[kind]
        layers = {"num_layers": 2 if model == "gru" else 1}
        model = random_model(models.KINDS[model], tokenizer, **layers)
        path = generation.export(
            model, tokenizer, tmp_path_factory.mktemp("saved_models") / pair
        )
        loaded = tf.saved_model.load(path)
        made[pair] = Export(model, tokenizer, prompts, path, loaded)
    return made


def texts(tensor):
    """Strings as Python has them."""
    return [text.decode() for text in tensor.numpy()]


def tensors(settings):
    return {
        name: tf.constant(value, TYPES[name])
        for name, value in settings.items()
    }


def one_by_one(loaded, prompts, settings, steps):
    """The outputs of the flat signature, joined."""
    step = loaded.signatures["generate_one_step"]
    state = loaded.signatures["initial_state"](tf.constant(len(prompts)))
    inputs, joined = tf.constant(prompts), tf.constant([""] * len(prompts))
    for _ in range(steps):
        state = step(inputs=inputs, **tensors(settings), **state)
        inputs = state.pop("outputs")
        joined += inputs
    return joined
