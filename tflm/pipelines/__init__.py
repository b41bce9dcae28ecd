"""Text -> ids on disk -> batches of (inputs, targets, weights) [B,T]."""

from tflm import config
from tflm.pipelines.contiguous import Contiguous
from tflm.pipelines.document_batches import DocumentBatches
from tflm.pipelines.examples import Examples, make_examples
from tflm.pipelines.lanes import Lanes
from tflm.pipelines.random_windows import RandomWindows
from tflm.pipelines.sequences import Sequences
from tflm.pipelines.token_store import TokenStore, prepare
from tflm.pipelines.windows import Windows

__all__ = [
    "Contiguous",
    "DocumentBatches",
    "Examples",
    "Lanes",
    "RandomWindows",
    "Sequences",
    "TokenStore",
    "Windows",
    "make_examples",
    "prepare",
    "sequences_of",
]


def sequences_of(
    store: TokenStore, settings: config.SequencesConfig, seed: int
) -> Sequences:
    """The training sequences of the kind that the settings name.

    Args:
        store: The training split's targets.
        settings: The kind of sequence and its sizes.
        seed: int. Decides the order.

    Returns:
        The `Sequences`.

    Raises:
        ValueError: If the text is too short for them.

    Example:
    >>> import tempfile
    >>> import tensorflow as tf
    >>> from tflm.tokenizers import Characters
    >>> both = [True, True]
    >>> text = {"text": ["abcab", "ba"], "starts": both, "ends": both}
    >>> pieces = tf.data.Dataset.from_tensor_slices(text)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = prepare(pieces, Characters("abc"), folder)
    >>> for kind in config.SEQUENCES:
    ...     settings = config.SequencesConfig(kind, seq_len=3, batch_size=2)
    ...     sequences = sequences_of(store, settings, seed=0)
    ...     _, targets, *_ = next(iter(sequences.dataset()))
    ...     print(f"{kind:<10} {targets.numpy().tolist()}")
    windows    [[5, 6, 4], [5, 3, 5]]
    random     [[4, 5, 6], [4, 5, 6]]
    contiguous [[4, 5, 6], [5, 4, 3]]
    documents  [[4, 5, 3], [5, 4, 3]]
    """
    sizes = (store, settings.seq_len, settings.batch_size, seed)
    if settings.sequences == "contiguous":
        return Contiguous(*sizes, settings.span)
    if settings.sequences == "documents":
        return DocumentBatches(*sizes, settings.pad)
    kinds = {"windows": Windows, "random": RandomWindows}
    return kinds[settings.sequences](*sizes)
