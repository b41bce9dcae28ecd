"""Word-by-word text as people write it."""

import functools
import re
from typing import Any

# WikiText's marks of what stood between two parts of a word or a number.
_MARKS = re.compile(r" ?@([-,.])@ ?")
_SENTENCE_START = re.compile(r"(^|[.!?][\"')\]]*\s+)([\"'(\[]*)([a-z])")
_ALONE = re.compile(r"\bi\b(?=$|[\s'’,.!?;:])")


def readable(text: str, prompt: str = "") -> str:
    r"""Makes the text of a word model readable.

    Punctuation is joined to its word, quotes to what they hold, contractions
    to theirs, WikiText's `@-@`, `@,@` and `@.@` to their neighbours. A text
    without a capital behind its prompt, as a model of lower case writes it,
    gets them where sentences begin, and in "I". Lines stay as they are divided.

    Args:
        text: Words with spaces between them.
        prompt: What of it the model was given. Default "".

    Returns:
        The text for people; it cannot be turned back.

    Example:
    >>> readable('he paid 3 @,@ 000 , " i do n\'t " , she said . ok')
    'He paid 3,000, "I don\'t", she said. Ok'
    """
    # Here, and not by the library: it does not know numbers' marks.
    joined = _MARKS.sub(r"\1", text)
    lines = [_joined(line) for line in joined.split("\n")]
    written = text.removeprefix(prompt)
    if not any(character.isupper() for character in written):
        lines = [_with_capitals(line) for line in lines]
    return "\n".join(lines)


def _joined(line: str) -> str:
    # The library knows contractions cut as "don 't", not as "do n't".
    words = line.replace(" n't", "n't").split()
    return _detokenizer().detokenize(words, unescape=False)


def _with_capitals(line: str) -> str:
    line = _SENTENCE_START.sub(lambda m: m[1] + m[2] + m[3].upper(), line)
    return _ALONE.sub("I", line)


@functools.cache
def _detokenizer() -> Any:
    import sacremoses

    return sacremoses.MosesDetokenizer(lang="en")
