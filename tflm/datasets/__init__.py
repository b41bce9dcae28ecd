"""Text as `tf.data` documents: TFDS datasets, `python_docs`, local files."""

from tflm.datasets.text_splits import TextSplits, load

__all__ = ["TextSplits", "load"]
