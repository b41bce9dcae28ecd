r"""The names that ids have in an ARPA file.

`<unk>`, `<s>` and `</s>` stand for unknown, START and END; padding has no
name. Any other id has its text, in which a backslash, white space, control
characters and bytes that are no UTF-8 are written as `\x` and two hexadecimal
digits for each byte. Where an id of a lower number has that name, `\#` and
the id follow.
"""

import re

import tensorflow as tf

from tflm.tokenizers import Tokenizer

UNKNOWN, START, END = "<unk>", "<s>", "</s>"
SPECIAL = {
    Tokenizer.unk_id: UNKNOWN,
    Tokenizer.start_id: START,
    Tokenizer.end_id: END,
}


def words(tokenizer: Tokenizer) -> list[str]:
    r"""The name of each id; padding's is empty.

    >>> from tflm.tokenizers import Characters
    >>> words(Characters("a \\"))
    ['', '<unk>', '<s>', '</s>', 'a', '\\x20', '\\x5c']
    """
    ids = tf.range(tokenizer.vocabulary_size)
    # At the start of a line, where no word needs a space before it.
    before = tf.fill([tokenizer.vocabulary_size], "\n")
    texts = tokenizer.continuation(ids[:, tf.newaxis], before).numpy()  # [V]
    names = ["", *(SPECIAL[number] for number in sorted(SPECIAL))]
    taken = set(names)
    for number in range(len(names), len(texts)):
        name = escape(texts[number])
        if name in taken:
            name = f"{name}\\#{number}"
        taken.add(name)
        names.append(name)
    return names


def escape(text: bytes) -> str:
    r"""A text as a word: no white space, valid UTF-8, any other text another.

    >>> escape(b"two words\n")
    'two\\x20words\\x0a'
    """
    valid = text.decode("utf-8", errors="surrogateescape")
    return re.sub(r"[\x00-\x20\\\x7f\udc80-\udcff]", _in_digits, valid)


def _in_digits(character: re.Match) -> str:
    (byte,) = character[0].encode("utf-8", errors="surrogateescape")
    return f"\\x{byte:02x}"
