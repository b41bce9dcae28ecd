import math

import pytest
import tensorflow as tf

from tflm.evaluation import Baselines, baselines, xz_bits_per_byte
from tflm.models import NGram
from tflm.pipelines import prepare
from tflm.tokenizers import Characters

TRAINING = ["the cat sat on the mat. ", "a rat sat on a hat. "] * 5
HELD_OUT = ["the rat sat on the cat. ", "a hat, a cat. "]
TOKENIZER = Characters.train(TRAINING)


def split(texts, folder):
    count = len(texts)
    pieces = tf.data.Dataset.from_tensor_slices(
        {
            "text": tf.constant(texts),
            "starts": tf.fill([count], True),
            "ends": tf.fill([count], True),
        }
    )
    return pieces, prepare(pieces, TOKENIZER, folder)


@pytest.fixture
def held_out(tmp_path):
    return split(HELD_OUT, tmp_path)


@pytest.mark.parametrize("documents", ["separate", "joined"])
def test_figures_are_those_of_xz_and_of_the_model(
    documents, held_out, tmp_path
):
    training = split(TRAINING, tmp_path)
    found = Baselines(*training, TOKENIZER, documents).figures(*held_out)
    size = TOKENIZER.vocabulary_size
    model = NGram.train(training[1], vocabulary_size=size, order=5)
    ends = documents == "separate"
    texts = HELD_OUT if ends else ["".join(HELD_OUT)]
    nats = 0.0
    for text in texts:
        ids = TOKENIZER.tokenize(tf.constant(text)).numpy().tolist()
        targets = ids + [TOKENIZER.end_id] * ends
        logits = model(tf.constant([[TOKENIZER.start_id, *ids]]))[0].numpy()
        nats -= sum(
            logits[place][target] for place, target in enumerate(targets)
        )
    bits = nats / math.log(2) + 8 * 1  # the comma was never seen
    length = sum(map(len, HELD_OUT))
    assert found == {
        "xz_bits_per_byte": xz_bits_per_byte(training[0], held_out[0]),
        "kneser_ney_bits_per_byte": pytest.approx(bits / length, rel=1e-5),
    }


def test_one_model_serves_all_texts(held_out, tmp_path, monkeypatch):
    counted = []
    train = NGram.train

    def count(*arguments, **options):
        counted.append(options)
        return train(*arguments, **options)

    monkeypatch.setattr(NGram, "train", count)
    beside = Baselines(*split(TRAINING, tmp_path), TOKENIZER)
    assert beside.figures(*held_out) == beside.figures(*held_out)
    assert len(counted) == 1


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        ("_MOST_XZ_BYTES", "kneser_ney_bits_per_byte"),
        ("_MOST_TOKENS", "xz_bits_per_byte"),
    ],
)
def test_large_texts_have_fewer_figures_and_it_is_said(
    limit, left, held_out, tmp_path, monkeypatch
):
    monkeypatch.setattr(baselines, limit, 200)
    training = split(TRAINING, tmp_path)
    said = r"figure is left out: the training text is too large .*most 200\)"
    with pytest.warns(UserWarning, match=said):
        beside = Baselines(*training, TOKENIZER)
    assert list(beside.figures(*held_out)) == [left]
