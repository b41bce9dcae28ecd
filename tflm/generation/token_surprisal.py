"""What a token of a text costs."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class TokenSurprisal:
    """Where a token stands in its text, and how surprising it is there.

    Attributes:
        begin: int. Its first byte in the text's UTF-8.
        end: int. The byte behind its last one.
        nats: float. Minus the natural logarithm of its probability.
        unknown: bool. Whether the vocabulary lacks it.

    Example:
    >>> TokenSurprisal(begin=0, end=3, nats=2 * math.log(2), unknown=False).bits
    2.0
    """

    begin: int
    end: int
    nats: float
    unknown: bool

    @property
    def bits(self) -> float:
        """The same cost in bits."""
        return self.nats / math.log(2)
