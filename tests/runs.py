"""Runs as training leaves them, without the training."""

import json

import keras

from tflm import config, models, training
from tflm.training import text


def make_run(path, train_file, *, seed=0, log=(), **settings):
    """Writes a run whose weights are drawn at random.

    `log` holds the entries of its `metrics.jsonl`.
    """
    given = {"units": 8, "embedding_dim": 4, "seq_len": 16, **settings}
    configured = config.from_flat({"train_file": str(train_file), **given})
    ready = text.prepare(configured)
    facts = {"end_is_generated": True, "precision": "float32"}
    run = training.RunDirectory.create(
        path, configured, ready.tokenizer, ready.fingerprint(), facts
    )
    keras.utils.set_random_seed(seed)
    size = ready.tokenizer.vocabulary_size
    models.build(configured.model, size).save(run.model)
    if log:
        run.metrics.write_text("".join(json.dumps(e) + "\n" for e in log))
    return run
