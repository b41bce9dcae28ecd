import dataclasses
import hashlib
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import config, models, training
from tflm.pipelines import TokenStore, Windows
from tflm.pipelines.token_store import Counts
from tflm.training.adamw import AdamW
from tflm.training.checkpoints import Checkpoints
from tflm.training.loop import Loop

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "that", "rat"]
KILLED_AT = 50  # between the checkpoints of the steps 30 and 60

# A run bounded by steps that has everything a resumed run could get wrong:
# dropout, shuffling over three epochs, warm-up and decay, early stopping, a
# sampled softmax.
TINY = {
    "num_sampled": 5,
    "units": 16,
    "embedding_dim": 8,
    "dropout": 0.2,
    "seq_len": 16,
    "batch_size": 8,
    "epochs": 3,
    "warmup_steps": 35,
    "schedule": "cosine",
    "patience": 50,
    "evaluate_every": 30,
    "log_every": 1,
    "precision": "float32",
    "seed": 3,
}


class Bigram(models.LanguageModel):
    """A table of logits: the smallest model that can learn."""

    def __init__(self, vocabulary_size=9, **options):
        super().__init__(vocabulary_size=vocabulary_size, **options)
        self.table = self.add_weight(
            shape=(vocabulary_size, vocabulary_size), name="table"
        )
        self.built = True

    def call(
        self,
        ids,
        mask=None,
        initial_state=None,
        return_state=False,
        training=None,
    ):
        logits = tf.gather(tf.convert_to_tensor(self.table), ids)  # [B,T,V]
        if not return_state:
            return logits
        read = tf.ones_like(ids) if mask is None else tf.cast(mask, tf.int32)
        position = initial_state["position"] + tf.reduce_sum(read, axis=1)
        return logits, {"position": position}

    def get_initial_state(self, batch_size):
        return {"position": tf.zeros([batch_size], tf.int32)}


def compiled(model, learning_rate=0.1, **options):
    """The model with an optimizer that plain `fit` can use too."""
    optimizer = AdamW(learning_rate, **options)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    model.compile(optimizer, loss)
    return model


def windows(tokens=200, seq_len=5, batch_size=4, seed=0):
    """Random targets of a single document, in windows."""
    ids = np.random.default_rng(1).integers(4, 9, tokens).astype(np.uint16)
    counts = Counts(1, tokens, 0, 0, 0, tokens, tokens)
    store = TokenStore(ids, np.array([0]), counts, "hash")
    return Windows(store, seq_len, batch_size, seed)


def make_loop(
    directory, callbacks=(), *, model=None, evaluate=dict, data=None, **settings
):
    """A `Loop` without warm-up or decay unless `settings` say otherwise."""
    plain = {"warmup_steps": 0, "schedule": "constant", "learning_rate": 0.1}
    model = model or compiled(Bigram())
    return Loop(
        model,
        data or windows(),
        config.TrainingConfig(**{**plain, **settings}),
        evaluate,
        list(callbacks),
        Checkpoints(directory / "checkpoints", model, model.optimizer),
    )


@dataclasses.dataclass
class Record:
    """The losses of steps and the variables after the last of them."""

    losses: list[float]
    digests: list[str]


class Recorder(keras.callbacks.Callback):
    """Keeps the loss of each step, and digests the variables after one."""

    def __init__(self, last):
        super().__init__()
        self.last = last
        self.losses = {}
        self.digests = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses[batch + 1] = logs["loss"]
        if batch + 1 == self.last:
            self.digests = digests(self.model)

    def record(self, first):
        steps = range(first, self.last + 1)
        return Record([self.losses[s] for s in steps], self.digests)


def digests(model):
    """A hash of each variable's bits, the optimizer's too."""
    variables = [*model.variables, *model.optimizer.variables]
    return [
        hashlib.sha256(keras.ops.convert_to_numpy(variable)).hexdigest()
        for variable in variables
    ]


def write_text(path, sentences=120, seed=0):
    """Writes sentences of random words, a paragraph each."""
    choose = random.Random(seed).choice
    lines = (
        " ".join(choose(WORDS) for _ in range(8)) for _ in range(sentences)
    )
    path.write_text("".join(line + ".\n\n" for line in lines))
    return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The settings of the tiny run, by name, and its text."""
    folder = tmp_path_factory.mktemp("text")
    return {
        "train_file": str(write_text(folder / "words.txt")),
        "cache_dir": str(folder / "cache"),
        **TINY,
    }


@pytest.fixture(scope="session")
def uninterrupted(tiny, tmp_path_factory):
    """The tiny run from its start to its end: session, reason, recorder."""
    path = tmp_path_factory.mktemp("whole") / "runs" / "words"
    recorder = Recorder(KILLED_AT)
    session = training.begin(config.from_flat(tiny), path, [recorder])
    return session, session.train(), recorder
