"""What needs no network: the figures that a model has to beat."""

import functools
import warnings

import tensorflow as tf

from tflm.evaluation.compression import xz_bits_per_byte
from tflm.evaluation.evaluator import Evaluator
from tflm.evaluation.score import Score
from tflm.models import NGram
from tflm.pipelines import TokenStore
from tflm.scoring_settings import ScoringSettings
from tflm.tokenizers import Tokenizer

ORDER = 5

# Beside larger training texts a figure is left out: it would take minutes,
# and the n-gram model's tables gigabytes.
_MOST_XZ_BYTES = 32 * 2**20
_MOST_TOKENS = 20_000_000


class Baselines:
    """xz and a Kneser-Ney 5-gram model that were given a training text.

    Args:
        pieces: `tf.data.Dataset` of the training text.
        store: The same as ids.
        tokenizer: What made them.
        documents: "separate" or "joined": how scored documents are read.
            Their history is carried in any case, since four tokens are all
            that the model looks at. Default "separate".
    """

    def __init__(
        self,
        pieces: tf.data.Dataset,
        store: TokenStore,
        tokenizer: Tokenizer,
        documents: str = "separate",
    ):
        self.pieces = pieces
        self.store = store
        self.tokenizer = tokenizer
        self.documents = documents
        for name, size, most in (
            ("xz's figure", store.counts.bytes, _MOST_XZ_BYTES),
            ("the 5-gram model's figure", store.counts.tokens, _MOST_TOKENS),
        ):
            if size > most:
                warnings.warn(
                    f"{name} is left out: the training text is too large for "
                    f"it ({size:,}, at most {most:,})",
                    stacklevel=2,
                )

    def figures(
        self, pieces: tf.data.Dataset, store: TokenStore
    ) -> dict[str, float]:
        """Bits per byte of a held-out text, by name, ready for JSON.

        Args:
            pieces: `tf.data.Dataset` of the text.
            store: The same as ids.
        """
        figures = {}
        xz, score = self.xz(pieces), self.kneser_ney(pieces, store)
        if xz is not None:
            figures["xz_bits_per_byte"] = xz
        if score is not None:
            figures["kneser_ney_bits_per_byte"] = score.bits_per_byte
        return figures

    def xz(self, pieces: tf.data.Dataset) -> float | None:
        """Bits that xz adds for each byte; None beside a large text."""
        if self.store.counts.bytes > _MOST_XZ_BYTES:
            return None
        return xz_bits_per_byte(self.pieces, pieces)

    def kneser_ney(
        self, pieces: tf.data.Dataset, store: TokenStore
    ) -> Score | None:
        """The n-gram model's score; None beside a large text."""
        if self.store.counts.tokens > _MOST_TOKENS:
            return None
        return self._evaluator.score(pieces, store)

    @functools.cached_property
    def _evaluator(self) -> Evaluator:
        model = NGram.train(
            self.store,
            vocabulary_size=self.tokenizer.vocabulary_size,
            order=ORDER,
        )
        settings = ScoringSettings(documents=self.documents)
        return Evaluator(model, self.tokenizer, settings)
