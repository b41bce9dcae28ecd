"""Each setting of training, set to another value: what it names changes."""

import math
from collections import Counter

import keras
import numpy as np
import pytest

from tests.flags.effects import (
    ANOTHER,
    EVERYWHERE,
    LEARNT,
    NGRAM,
    OTHER,
    TEXT,
    WHOLE,
    Effect,
    name_of,
    names_of,
)
from tests.flags.made import Made, made
from tflm import config, models, train

COUNTS = Counter(LEARNT)


def first_weights(seed):
    """The first weights of the base's model under a seed."""
    keras.utils.set_random_seed(seed)
    shape = {"units": 6, "embedding_dim": 4}
    model = models.GRU(vocabulary_size=4 + len(COUNTS), **shape)
    return model.get_weights()[0]


TRAIN = [
    # The text.
    Effect(
        "--dataset wikitext-2-raw",
        "wikitext/2-raw/1.0.0",
        lambda made: made.builder().info.full_name,
    ),
    Effect(
        "--data_dir elsewhere",
        True,
        lambda made: "elsewhere" in str(made.builder().data_dir).split("/"),
    ),
    Effect(
        "--cache_dir kept",
        "kept",
        lambda made: str(made.text.stores["train"].targets.filename).split("/")[
            -3
        ],
    ),
    Effect("--train_file other.txt", "other.txt", lambda m: m.text.text.name),
    Effect(
        "--validation_file other.txt",
        [OTHER],
        lambda made: made.documents("validation"),
    ),
    Effect(
        "--test_file other.txt", [OTHER], lambda made: made.documents("test")
    ),
    Effect(
        "--validation_fraction 0.25",
        math.ceil(len(TEXT) * 0.25),
        lambda made: made.text.stores["validation"].counts.characters,
        "--test_fraction 0",
    ),
    Effect(
        "--test_fraction 0.25",
        math.ceil(len(TEXT) * 0.25),
        lambda made: made.text.stores["test"].counts.characters,
    ),
    Effect(
        "--text_feature title",
        ["A", "B", "C"],
        Made.documents,
        f"--train_file rows.csv {WHOLE}",
    ),
    Effect(
        "--encoding latin-1",
        ["\u00c3\u00a9" * 40],
        Made.documents,
        f"--train_file accents.txt {WHOLE}",
    ),
    Effect(
        "--delimiter ;",
        ["one"],
        Made.documents,
        f"--train_file semicolons.csv {WHOLE}",
    ),
    Effect(
        "--max_documents 2",
        ["one", "two"],
        Made.documents,
        f"--train_file rows.csv {WHOLE}",
    ),
    Effect("--max_document_characters 7", [TEXT[:7]], Made.documents, WHOLE),
    # The tokenizer.
    Effect(
        "--tokenizer bytes",
        260,
        lambda made: made.text.tokenizer.vocabulary_size,
    ),
    Effect(
        "--vocabulary_size 9",
        9,
        lambda made: made.text.tokenizer.vocabulary_size,
    ),
    Effect(
        "--min_count 60",
        {character for character in COUNTS if COUNTS[character] >= 60},
        lambda made: set(made.text.tokenizer.vocabulary),
    ),
    Effect(
        "--unknown_word <?>",
        b"<?>",
        lambda made: made.text.tokenizer.detokenize([1]).numpy(),
        "--tokenizer words",
    ),
    Effect(
        "--lowercase",
        set(TEXT.lower()),
        lambda made: set(made.text.tokenizer.vocabulary),
        WHOLE,
    ),
    Effect(
        "--sample_characters 300",
        ANOTHER,
        lambda made: made.text.tokenizer.fingerprint(),
        "--tokenizer bpe --vocabulary_size 280",
    ),
    Effect(
        "--splitter unicode",
        True,
        lambda made: " ." in made.text.tokenizer.vocabulary,
        f"--tokenizer words --min_count 1 {WHOLE}",
    ),
    Effect(
        "--normalization nfkc",
        b"fi",
        lambda made: made.text.tokenizer.detokenize(
            made.text.tokenizer.tokenize("\ufb01")
        ).numpy(),
        f"--train_file ligatures.txt {WHOLE}",
    ),
    Effect(
        "--document_unit sentence",
        ["One.", "Two!"],
        Made.documents,
        f"--train_file sentences.txt {WHOLE}",
    ),
    Effect(
        "--shard 1/2",
        ["two"],
        Made.documents,
        f"--train_file rows.csv {WHOLE}",
    ),
    # The sequences.
    Effect(
        "--sequences random",
        "RandomWindows",
        lambda made: type(made.session.loop.sequences).__name__,
    ),
    Effect(
        "--span 32",
        True,
        lambda made: made.session.loop.sequences.read(2)[3].all(),
        "--sequences contiguous",
    ),
    Effect(
        "--pad fixed",
        (4, 16),
        lambda made: made.batch.inputs.shape,
        f"--sequences documents --train_file rows.csv {WHOLE}",
    ),
    Effect("--seq_len 20", (4, 20), lambda made: made.batch.inputs.shape),
    Effect("--batch_size 3", (3, 16), lambda made: made.batch.inputs.shape),
    # The model.
    Effect("--model lstm", "LSTM", lambda made: type(made.model).__name__),
    Effect(
        "--embedding_dim 10",
        10,
        lambda made: made.model.embedding.embeddings.shape[1],
    ),
    Effect("--units 5", 5, lambda made: made.model.recurrent[0].scan.units),
    Effect("--num_layers 3", 3, lambda made: len(made.model.recurrent)),
    Effect(
        "--num_heads 2",
        2,
        lambda made: made.model.get_initial_state(1)["layer_0_keys"].shape[1],
        "--model gpt --embedding_dim 8",
    ),
    Effect(
        "--context 9",
        9,
        lambda made: made.model.get_initial_state(1)["layer_0_keys"].shape[2],
        "--model gpt --embedding_dim 8",
    ),
    Effect(
        "--dropout 0.625",
        {0.625},
        lambda made: {layer.rate for layer in made.model.dropouts},
    ),
    Effect("--tie_embeddings", None, lambda made: made.model.projection),
    Effect("--num_sampled 9", 9, lambda made: made.model.num_sampled),
    Effect("--order 2", 2, lambda made: made.counted.order, "--model ngram"),
    Effect(
        "--smoothing mle",
        TEXT.count("a") / (len(TEXT) + 1),
        lambda made: made.probability("a"),
        NGRAM,
    ),
    Effect(
        "--add_k 7",
        # START and padding have no share.
        (TEXT.count("a") + 7) / (len(TEXT) + 1 + 7 * (2 + len(set(TEXT)))),
        lambda made: made.probability("a"),
        f"{NGRAM} --smoothing laplace",
    ),
    Effect(
        "--embeddings vectors.txt",
        [[1.0, 2.0, 3.0, 4.0]],
        lambda made: made.model.embedding.get_weights()[0][
            made.text.tokenizer.tokenize("cat").numpy()
        ].tolist(),
        "--tokenizer words",
    ),
    Effect(
        "--freeze_embeddings",
        False,
        lambda made: any(
            variable is made.model.embedding.embeddings
            for variable in made.model.trainable_variables
        ),
        "--tokenizer words --embeddings vectors.txt",
    ),
    # Training.
    Effect(
        "--epochs 2",
        math.ceil(2 * math.ceil(len(LEARNT) / 16) / 4),
        lambda made: made.decisions.last,
    ),
    Effect("--max_steps 7", 7, lambda made: made.decisions.last),
    Effect("--max_minutes 0.1", 6, lambda made: made.decisions.last),
    Effect("--learning_rate 0.5", 0.5, lambda made: made.rate(step=60)),
    Effect(
        "--schedule constant",
        8e-3,
        lambda made: made.rate(step=60, seconds=180.0),
    ),
    Effect("--warmup_steps 4", 8e-3 / 4, lambda made: made.rate(step=0)),
    Effect(
        "--weight_decay 0.25", 0.25, lambda made: made.optimizer.weight_decay
    ),
    Effect("--clipnorm 0.5", 0.5, lambda made: made.optimizer.global_clipnorm),
    Effect(
        "--patience 2",
        # The first evaluation is the best, and two more are waited for.
        [3, 6, 9],
        lambda made: made.decisions.evaluated,
        "--evaluate_every 3",
    ),
    Effect(
        "--evaluate_every 4",
        [4, 7],
        lambda made: made.decisions.evaluated,
        "--max_steps 7",
    ),
    Effect(
        "--log_every 3",
        [3, 6],
        lambda made: made.decisions.logged,
        "--max_steps 7",
    ),
    Effect(
        "--precision bfloat16",
        "bfloat16",
        lambda made: made.model.recurrent[0].compute_dtype,
    ),
    Effect(
        "--seed 7",
        True,
        lambda made: np.array_equal(
            made.model.get_weights()[0], first_weights(seed=7)
        ),
    ),
    Effect(
        "--seed 7", ANOTHER, lambda made: made.batch.targets.numpy().tolist()
    ),
]
# What has one value alone cannot be set to another.
ALONE = {
    name
    for name, (entry, _) in config.settings().items()
    if len(entry.metadata["choices"]) == 1
}


@pytest.mark.parametrize("effect", TRAIN, ids=name_of)
def test_setting_of_training_changes_what_it_names(effect):
    effect.check(made)


def test_every_setting_has_its_row():
    rows = {effect.name for effect in TRAIN}
    assert rows | ALONE == set(config.settings())
    assert not rows & ALONE


# What is no setting.


OWN = {"config", "preset", "run_dir", "resume", "export_dir"}


def test_training_has_no_other_flags():
    expected = {*config.settings(), *OWN, *EVERYWHERE}
    assert names_of(train._parser()) == expected
