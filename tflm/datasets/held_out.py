"""Which part of the text is held out where the source does not say."""

import dataclasses
import hashlib
import math
from fractions import Fraction

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """The shares of a source that are held out of training, exactly.

    Args:
        validation: Fraction in [0, 1). Default 0.
        test: Fraction in [0, 1). Default 0.

    Example:
    >>> tenth = HeldOut(validation=Fraction("0.1"))
    >>> tenth.bounds(1_115_394)["train"]
    (0, 1003854)
    """

    validation: Fraction = Fraction(0)
    test: Fraction = Fraction(0)

    def bounds(self, length: int) -> dict[str, tuple[int, int]]:
        """Each split's first and past-the-last character of one text.

        Args:
            length: The text's characters.
        """
        validation = length - math.ceil(length * (self.validation + self.test))
        test = length - math.ceil(length * self.test)
        return {
            "train": (0, validation),
            "validation": (validation, test),
            "test": (test, length),
        }

    def split_of(self, text: str) -> str:
        """The split of a whole document: equal texts share one.

        Args:
            text: The document.
        """
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        place = Fraction(int.from_bytes(digest, "big"), 2**64)
        # Test comes first, so that another share for validation leaves the
        # test split as it was.
        if place < self.test:
            return "test"
        if place < self.test + self.validation:
            return "validation"
        return "train"
