"""The TFDS dataset `wikitext`."""
