"""Text as `tf.data` documents: TFDS datasets, `python_docs`, local files."""

from tflm.datasets.shards import parse_shard, sharded
from tflm.datasets.text_splits import TextSplits, load
from tflm.datasets.units import divided

__all__ = ["TextSplits", "divided", "load", "parse_shard", "sharded"]
