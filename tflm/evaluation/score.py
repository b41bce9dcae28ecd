"""A score: the nats of a text and the counts to divide them by."""

import dataclasses
import math

from tflm.pipelines.token_store import Counts

_BITS_PER_NAT = 1 / math.log(2)


@dataclasses.dataclass(frozen=True)
class Score:
    """What a model needs to tell a text, in several units.

    Attributes:
        nats: float. Minus the natural logarithm of the text's probability.
        counts: What the text holds. END counts among the tokens, neither
            among the characters nor among the bytes.

    Example:
    >>> counts = Counts(1, tokens=4, ends=0, unknown_tokens=1,
    ...     unknown_bytes=2, characters=4, bytes=8)
    >>> score = Score(nats=4 * math.log(2), counts=counts)
    >>> score.perplexity, score.bits_per_character, score.bits_per_byte
    (2.0, 1.0, 2.5)
    """

    nats: float
    counts: Counts

    @property
    def nats_per_token(self) -> float:
        """Mean cross-entropy of a token, in nats."""
        return self.nats / self.counts.tokens

    @property
    def perplexity(self) -> float:
        """`exp(nats_per_token)`; comparable under one tokenization only."""
        return math.exp(self.nats_per_token)

    @property
    def bits_per_token(self) -> float:
        """Mean cross-entropy of a token, in bits."""
        return self.nats_per_token * _BITS_PER_NAT

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

    def to_dict(self) -> dict[str, float | int]:
        """The figures by name, ready for JSON."""
        return {
            "nats_per_token": self.nats_per_token,
            "perplexity": self.perplexity,
            "bits_per_token": self.bits_per_token,
            "bits_per_character": self.bits_per_character,
            "bits_per_byte": self.bits_per_byte,
            "tokens": self.counts.tokens,
            "characters": self.counts.characters,
            "bytes": self.counts.bytes,
            "unknown_share": self.counts.unknown_tokens / self.counts.tokens,
        }

    def _bits_per(self, count: int) -> float:
        return self.nats * _BITS_PER_NAT / max(count, 1)
