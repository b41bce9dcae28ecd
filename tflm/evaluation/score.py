"""A score: the nats of a text and the counts to divide them by."""

import dataclasses
import math
from typing import Any

from tflm.pipelines.token_store import Counts

BITS_PER_NAT = 1 / math.log(2)

Interval = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Score:
    """What a model needs to tell a text, in several units.

    Attributes:
        nats: float. Minus the natural logarithm of the text's probability.
        counts: What the text holds. END counts among the tokens, neither
            among the characters nor among the bytes.
        words: Optional int. The text's words, newlines and ENDs.
        nats_per_token_interval: Optional pair of floats: 95% of texts like
            this one are expected to score between them.
        bits_per_byte_interval: Likewise.
        resampled: Optional str. What the intervals come from, such as
            "60 documents".

    Example:
    >>> counts = Counts(1, tokens=4, ends=0, unknown_tokens=1,
    ...     unknown_bytes=2, characters=4, bytes=8)
    >>> score = Score(nats=4 * math.log(2), counts=counts, words=2)
    >>> score.perplexity, score.bits_per_character, score.bits_per_byte
    (2.0, 1.0, 2.5)
    >>> round(score.word_perplexity, 6)
    4.0
    """

    nats: float
    counts: Counts
    words: int | None = None
    nats_per_token_interval: Interval | None = None
    bits_per_byte_interval: Interval | None = None
    resampled: str | None = None

    @property
    def nats_per_token(self) -> float:
        """Mean cross-entropy of a token, in nats."""
        return self.nats / self.counts.tokens

    @property
    def perplexity(self) -> float:
        """`exp(nats_per_token)`; comparable under one tokenization only."""
        return _exp(self.nats_per_token)

    @property
    def word_perplexity(self) -> float | None:
        """`exp(nats / words)`: comparable between tokenizations.

        Under `tokenizers.Words` it is `perplexity`, since END counts among
        the words as it does among the tokens. Unknown pieces cost what the
        unknown token costs and nothing more, as in published figures, so that
        it compares only where about as much is unknown; `bits_per_byte` has
        no such gap.
        """
        if self.words is None:
            return None
        return _exp(self.nats / max(self.words, 1))

    @property
    def bits_per_token(self) -> float:
        """Mean cross-entropy of a token, in bits."""
        return self.nats_per_token * BITS_PER_NAT

    @property
    def bits_per_character(self) -> float:
        """Bits for the whole text over its characters."""
        return self._bits_per(self.counts.characters)

    @property
    def bits_per_byte(self) -> float:
        """Bits for the whole text over its UTF-8 bytes.

        An unknown piece is charged 8 bits for each of its bytes besides the
        unknown's own cost, so that a smaller vocabulary cannot lower it.
        """
        spelled = 8 * self.counts.unknown_bytes / max(self.counts.bytes, 1)
        return self._bits_per(self.counts.bytes) + spelled

    def to_dict(self) -> dict[str, Any]:
        """The figures by name, ready for JSON; None where one is not known."""
        intervals = {
            name: list(bounds) if bounds else None
            for name, bounds in (
                ("nats_per_token_interval", self.nats_per_token_interval),
                ("bits_per_byte_interval", self.bits_per_byte_interval),
            )
        }
        return {
            "nats_per_token": self.nats_per_token,
            "perplexity": self.perplexity,
            "word_perplexity": self.word_perplexity,
            "bits_per_token": self.bits_per_token,
            "bits_per_character": self.bits_per_character,
            "bits_per_byte": self.bits_per_byte,
            **intervals,
            "resampled": self.resampled,
            "tokens": self.counts.tokens,
            "words": self.words,
            "characters": self.counts.characters,
            "bytes": self.counts.bytes,
            "unknown_share": self.counts.unknown_tokens / self.counts.tokens,
        }

    def _bits_per(self, count: int) -> float:
        return self.nats * BITS_PER_NAT / max(count, 1)


def _exp(nats: float) -> float:
    """`math.exp`, and infinity where it would raise `OverflowError`."""
    return math.exp(nats) if nats < 700 else math.inf
