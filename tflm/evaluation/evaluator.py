"""A held-out text's score, with all that is said of it.

Axes: B lanes, T time, V vocabulary, N all targets of a split.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tflm.evaluation.bootstrap import interval
from tflm.evaluation.parts import Parts, cut
from tflm.evaluation.score import BITS_PER_NAT, Score
from tflm.evaluation.scorer import Scorer
from tflm.evaluation.word_count import count_words
from tflm.models import LanguageModel
from tflm.pipelines import Lanes, TokenStore
from tflm.scoring_settings import ScoringSettings
from tflm.tokenizers import Tokenizer

_LANES = 64
_LANE_STEP = 128
# Logits [B,T,V] held at once, 64 MiB of float32.
_MOST_LOGITS = 2**24


class Evaluator:
    """Scores texts under one model and its tokenizer.

    Args:
        model: The `LanguageModel`.
        tokenizer: The tokenizer of its ids.
        settings: How texts are read. Default: documents one by one, each with
            all of its history.
        window: int. Targets in a window where `settings` ask for windows and
            do not say how long they are. Default 128.

    Example:
    >>> import tempfile
    >>> from tflm import models, pipelines, tokenizers
    >>> text = {"text": ["abcab"], "starts": [True], "ends": [True]}
    >>> pieces = tf.data.Dataset.from_tensor_slices(text)
    >>> tokenizer = tokenizers.Characters("abc")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = pipelines.prepare(pieces, tokenizer, folder)
    >>> model = models.GRU(vocabulary_size=7, embedding_dim=4, units=8)
    >>> score = Evaluator(model, tokenizer).score(pieces, store)
    >>> score.counts.tokens, score.counts.bytes, score.words
    (6, 5, 2)
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        settings: ScoringSettings | None = None,
        window: int = 128,
    ):
        self.model = model
        self.tokenizer = tokenizer
        self.settings = (settings or ScoringSettings()).resolved(window)
        self._scorer = Scorer(model)

    def score(self, pieces: tf.data.Dataset, store: TokenStore) -> Score:
        """Scores a split, each target once.

        Args:
            pieces: `tf.data.Dataset` of the split's text, as `tflm.datasets`
                gives it. Words are counted in it.
            store: The same text as ids.

        Returns:
            The `Score`, with words and intervals. The latter resample the
            documents or, where there are fewer than 20 or they are joined,
            blocks of about 1,000 tokens.
        """
        if self.settings.documents == "joined":
            store = store.joined()
        nats = self._scorer.nats(self._lanes(store))  # [N]
        words = count_words(pieces) + store.counts.ends
        return _with_intervals(
            Score(float(nats.sum(dtype=np.float64)), store.counts, words),
            cut(store, self.tokenizer),
            nats,
        )

    def _lanes(self, store: TokenStore) -> Lanes:
        size = self.model.vocabulary_size
        window = self.settings.window
        if window is not None:
            lanes = min(max(_MOST_LOGITS // (window * size), 1), _LANES)
            return Lanes(
                store, window, lanes, window=window, stride=self.settings.stride
            )
        lanes = min(_LANES, store.counts.documents)
        most = max(_MOST_LOGITS // (lanes * size), 1)
        return Lanes(store, min(_LANE_STEP, most), lanes)


def _with_intervals(score: Score, parts: Parts, nats: np.ndarray) -> Score:
    """The score with what the bootstrap says of the nats [N]."""
    of_parts = parts.sums(nats)  # [K]
    plural = "s" if len(of_parts) > 1 else ""
    bits = of_parts * BITS_PER_NAT + 8 * parts.unknown_bytes
    return dataclasses.replace(
        score,
        nats_per_token_interval=interval(of_parts, parts.tokens),
        bits_per_byte_interval=interval(bits, parts.bytes),
        resampled=f"{len(of_parts)} {parts.unit}{plural}",
    )
