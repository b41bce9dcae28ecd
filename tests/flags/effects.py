"""What a flag does, and the texts that it is tried on.

An effect says the flag, what is seen with it, and where to look. The same
look without the flag must see something else.
"""

import dataclasses
import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.training.conftest import WORDS

_CHOOSE = random.Random(0).choice
TEXT = " ".join(_CHOOSE(WORDS) for _ in range(500)) + ". The End"
OTHER = "a rat saw a cat on the mat. " * 9
FILES = {
    "words.txt": TEXT,
    "other.txt": OTHER,
    "prompts.txt": "cat\n\nmat\n",
    "accents.txt": "\u00e9" * 40,
    "rows.csv": "text,title\none,A\ntwo,B\nthree,C\n",
    "vectors.txt": "cat 1 2 3 4\nmat 5 6 7 8\n",
    "ligatures.txt": "\ufb01 fi " * 20,
    "sentences.txt": "One. Two!",
    "semicolons.csv": "title;text\nA;one\n",
}
SIZE = "--units 6 --embedding_dim 4 --seq_len 16 --batch_size 4"
BASE = f"--train_file words.txt --cache_dir cache {SIZE} --precision float32"
WHOLE = "--validation_fraction 0 --test_fraction 0"
NGRAM = f"--model ngram --order 1 {WHOLE}"
# What is seen is not known beforehand, only that it is something else.
ANOTHER = object()

LEARNT = TEXT[: len(TEXT) - math.ceil(len(TEXT) * 0.1)]
VALIDATION = math.ceil(len(TEXT) * 0.1) - math.ceil(len(TEXT) * 0.05)


# Flags that all commands have.
EVERYWHERE = {"help", "verbose"}


@dataclasses.dataclass(frozen=True)
class Effect:
    """What a flag does.

    Attributes:
        flag: The flag with another value than its default.
        seen: What `look` sees then.
        look: Looks at the thing that the flag names.
        given: Other flags, with it and without it.
    """

    flag: str
    seen: Any
    look: Callable[[Any], Any]
    given: str = ""

    @property
    def name(self) -> str:
        """The flag's name."""
        return self.flag.split()[0].removeprefix("--")

    def check(self, make: Callable[[str], Any]) -> None:
        """Looks at what is made without the flag and with it."""
        before = self.look(make(self.given))
        after = self.look(make(f"{self.given} {self.flag}"))
        expected = self.seen
        if expected is ANOTHER:
            assert after != before
            return
        if isinstance(expected, float):
            expected = pytest.approx(expected, rel=1e-5)
        assert after == expected
        assert before != expected


def name_of(effect):
    return effect.name


def names_of(parser):
    """The names of a parser's flags."""
    options = [o for action in parser._actions for o in action.option_strings]
    names = {o.removeprefix("--") for o in options if o.startswith("--")}
    return {n for n in names if not n.startswith("no_") or n[3:] not in names}
