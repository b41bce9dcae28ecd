"""The run of an n-gram model: the text is counted once, there is no loop."""

import dataclasses
import time
from collections.abc import Sequence

import keras

from tflm.evaluation import Scorer
from tflm.generation import TextGenerator
from tflm.models import NGram
from tflm.pipelines import Lanes
from tflm.training.callbacks import (
    BestWeights,
    MetricsFile,
    Samples,
    TensorBoardLog,
)
from tflm.training.loop import FINISHED, Progress
from tflm.training.run_directory import RunDirectory
from tflm.training.text import PreparedText

_LANES = 64
_LANE_STEP = 512


@dataclasses.dataclass(frozen=True)
class CountingSession:
    """A run that is ready to count; it is used as `Session` is.

    Attributes:
        run: Its directory.
        text: Its data.
        callbacks: More Keras callbacks. To them all of it is one epoch.
        progress: One step, when it is done.
    """

    run: RunDirectory
    text: PreparedText
    callbacks: Sequence[keras.callbacks.Callback] = ()
    progress: Progress = dataclasses.field(default_factory=Progress)

    def train(self, resume: bool = False) -> str:
        """Counts the text and writes the model.

        Args:
            resume: bool. It makes no difference: what was interrupted begins
                again.

        Returns:
            "finished".

        Raises:
            BlockingIOError: If another process is counting it.
        """
        with self.run.locked():
            model = self._count()
            # What a run has left that was cut off behind the counting.
            MetricsFile(self.run.metrics).on_restore(0)
            self._tell(model)
        return FINISHED

    def _count(self) -> NGram:
        config, stores = self.run.config.model, self.text.stores
        begin = time.monotonic()
        model = NGram.train(
            stores["train"],
            vocabulary_size=self.text.tokenizer.vocabulary_size,
            order=config.order,
            smoothing=config.smoothing,
            add_k=config.add_k,
            held_out=stores.get("validation"),
        )
        self.progress.step = 1
        self.progress.seconds = time.monotonic() - begin
        return model

    def _tell(self, model: NGram) -> None:
        """Keeps the model, its figures and a sample."""
        seconds = self.progress.seconds
        tokens = self.text.stores["train"].counts.tokens
        logs: dict[str, float] = {
            "step": 1,
            "tokens_per_second": tokens / max(seconds, 1e-9),
            "seconds": seconds,
            "ngrams": model.num_ngrams,
        }
        if "validation" in self.text.stores:
            lanes = Lanes(self.text.stores["validation"], _LANE_STEP, _LANES)
            score = Scorer(model).score(lanes)
            logs["val_loss"] = score.nats_per_token
            logs["val_bits_per_character"] = score.bits_per_character
        generator = TextGenerator(
            model,
            self.text.tokenizer,
            allow_end=self.run.facts["end_is_generated"],
        )
        tensorboard = TensorBoardLog(self.run.tensorboard)
        prompt = self.text.prompt()
        callbacks = keras.callbacks.CallbackList(
            [
                MetricsFile(self.run.metrics),
                tensorboard,
                BestWeights(model, self.run.model),
                Samples(generator, prompt, self.run.samples, tensorboard),
                *self.callbacks,
            ],
            model=model,
        )
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(0)
        callbacks.on_epoch_end(0, logs)
        callbacks.on_train_end()
