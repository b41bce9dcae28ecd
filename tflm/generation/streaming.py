"""Text while it is written, in pieces that can be shown at once."""

import codecs
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf


def stream(
    generate_one_step: Callable[..., tuple[tf.Tensor, Any]],
    prompt: str,
    max_new_tokens: int,
    **settings: Any,
) -> Iterator[str]:
    """Continues a prompt and gives each piece as soon as it is whole.

    Args:
        generate_one_step: Of a `OneStep`, or of an export that was loaded.
        prompt: str.
        max_new_tokens: int. Tokens at the most.
        **settings: `temperature`, `top_k`, `top_p` and `seed`.

    Yields:
        Pieces of the continuation. No character is cut; joined they are the
        text that `TextGenerator` writes with the same settings in float32; in
        bfloat16 the two may round differently.

    Example:
    >>> from tflm.generation import OneStep
    >>> from tflm.models import GRU
    >>> from tflm.tokenizers import Bytes
    >>> model = GRU(vocabulary_size=Bytes().vocabulary_size, units=8)
    >>> one_step = OneStep(model, Bytes(), allow_end=False)
    >>> greedy = {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "seed": 0}
    >>> pieces = stream(one_step.generate_one_step, "a", 5, **greedy)
    >>> len("".join(pieces)) <= 5
    True
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    # A seed of -1 is fresh at every call, as it should be.
    text, states = tf.constant([prompt]), None
    for _ in range(max_new_tokens):
        text, states = generate_one_step(text, states, **settings)
        raw = text.numpy()[0]
        if not raw:
            break
        if piece := decoder.decode(raw):
            yield piece
    if rest := decoder.decode(b"", final=True):
        yield rest
