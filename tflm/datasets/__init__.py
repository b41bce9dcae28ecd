"""Text as `tf.data` documents: TFDS datasets, `python_docs`, local files."""

from tflm.datasets.documents import Piece
from tflm.datasets.piece_dataset import pieces_of
from tflm.datasets.shards import parse_shard, sharded
from tflm.datasets.text_splits import TextSplits, load
from tflm.datasets.units import divided

__all__ = [
    "Piece",
    "TextSplits",
    "divided",
    "load",
    "parse_shard",
    "pieces_of",
    "sharded",
]
