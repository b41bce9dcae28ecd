"""The TFDS dataset `python_docs`."""
