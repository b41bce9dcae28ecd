"""What the flags of training make, and ways to look at it."""

import functools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.flags.effects import BASE
from tflm import config, train, training
from tflm.command_line import flags
from tflm.datasets import preparation
from tflm.training import counting, session
from tflm.training.loop import Progress
from tflm.training.text import prepare


@functools.cache
def prepared(data, tokenizer):
    """The text that is made of these two groups of settings, no others."""
    return prepare(config.Config(data=data, tokenizer=tokenizer))


def begun(settings):
    """A new session, its text prepared once for all that have the same."""
    path = training.free_name("session", "begun")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            session,
            "prepare",
            lambda settings, _: prepared(settings.data, settings.tokenizer),
        )
        return training.begin(settings, path)


class Made:
    """What the flags of training make, as far as it is looked at."""

    def __init__(self, arguments: str):
        parsed = train._parser().parse(f"{BASE} {arguments}".split())
        chosen = flags.chosen(parsed, list(config.settings()))
        self.config = config.from_flat(chosen)

    @functools.cached_property
    def text(self):
        return prepared(self.config.data, self.config.tokenizer)

    @functools.cached_property
    def session(self):
        return begun(self.config)

    @property
    def model(self):
        return self.session.model

    @property
    def optimizer(self):
        return self.session.loop.optimizer

    @functools.cached_property
    def batch(self):
        return next(iter(self.session.loop.sequences.dataset()))

    @functools.cached_property
    def decisions(self):
        return decisions(begun(self.config).loop)

    def documents(self, split="train"):
        """A split's texts."""
        pieces = self.text.text.splits[split].as_numpy_iterator()
        return [piece["text"].decode() for piece in pieces]

    def builder(self):
        """The TFDS builder that would be read; nothing is prepared."""
        return preparation.open_builder(self.config.data)

    def rate(self, step, seconds=0.0):
        """The optimizer's learning rate at a step."""
        loop = self.session.loop
        loop.progress = Progress(step=step, seconds=seconds)
        loop._set_learning_rate()
        return float(loop.optimizer.learning_rate)

    @functools.cached_property
    def counted(self):
        """The model that a run of n-grams comes to, without its samples."""
        seen = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                counting.CountingSession,
                "_tell",
                lambda session, model: seen.append(model),
            )
            self.session.train()
        return seen[0]

    def probability(self, character):
        """The n-gram model's share for a character where a text begins."""
        [number] = self.text.tokenizer.tokenize(character).numpy()
        return float(np.exp(self.counted(tf.constant([[2]]))[0, 0, number]))


class Recorder(keras.callbacks.Callback):
    """The steps at which the loop logs, evaluates and ends."""

    def __init__(self):
        super().__init__()
        self.logged = []
        self.evaluated = []

    def on_log(self, step, logs):
        self.logged.append(step)

    def on_epoch_end(self, epoch, logs=None):
        self.evaluated.append(int(logs["step"]))


class Idle:
    """In the place of a `TrainStep`: each step has a loss of 1 nat."""

    def __init__(self, step):
        self.batches = step.batches

    def __call__(self, *batch):
        return 1.0, 1.0


def decisions(loop):
    """What a loop decides where a step takes a second and teaches nothing."""
    early = keras.callbacks.EarlyStopping
    kept = [c for c in loop.callbacks.callbacks if isinstance(c, early)]
    recorder = Recorder()
    loop.callbacks = keras.callbacks.CallbackList(
        [recorder, *kept], model=loop.model
    )
    loop.evaluate = lambda: {"val_loss": 1.0}
    loop.checkpoints = types.SimpleNamespace(save=lambda *state: None)
    loop.train_step = Idle(loop.train_step)

    def tick():
        loop.progress.seconds += 1.0
        return 1.0

    loop._tick = tick
    loop.run()
    recorder.last = loop.progress.step
    return recorder


made = functools.cache(Made)
