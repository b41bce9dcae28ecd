"""The text of a run, ready to be learnt from and scored."""

import dataclasses
from pathlib import Path
from typing import Any

from tflm import config as configuration
from tflm import datasets, pipelines, tokenizers
from tflm.datasets import TextSplits
from tflm.pipelines import TokenStore
from tflm.tokenizers import Tokenizer

_CACHE = Path("~/.cache/tflm/token_stores")


@dataclasses.dataclass(frozen=True)
class PreparedText:
    """Every split of a data set as text and as ids.

    Attributes:
        text: The splits as text.
        tokenizer: Trained on the training split, or given.
        stores: The splits as ids.
    """

    text: TextSplits
    tokenizer: Tokenizer
    stores: dict[str, TokenStore]

    @property
    def held_out(self) -> list[str]:
        """The splits to be scored: "validation" and "test" if there are."""
        return [split for split in self.stores if split != "train"]

    def fingerprint(self) -> dict[str, Any]:
        """What the data is: hashes and counts, by split."""
        return {
            "dataset": self.text.name,
            "tokenizer": self.tokenizer.fingerprint(),
            "splits": {
                split: {
                    "text_hash": store.text_hash,
                    **dataclasses.asdict(store.counts),
                }
                for split, store in self.stores.items()
            },
        }

    def prompt(self, most: int = 40) -> str:
        """The first words of the held-out text, to be continued."""
        split = self.held_out[0] if self.held_out else "train"
        piece = next(iter(self.text.splits[split]))["text"].numpy()
        start = piece[: 4 * most].decode("utf-8", errors="ignore")[:most]
        return start.rsplit(" ", 1)[0] if " " in start else start


def prepare(
    config: configuration.Config, tokenizer: Tokenizer | None = None
) -> PreparedText:
    """Reads the text that the settings name, and turns it into ids.

    Args:
        config: The settings.
        tokenizer: Optional, the tokenizer to use. Default None: one is
            trained on the training split.

    Returns:
        The `PreparedText`.

    Raises:
        ValueError, OSError: If the text is not what the settings say.
    """
    if config.data.shard is not None:
        datasets.parse_shard(config.data.shard)  # before much is done
    text = datasets.load(config.data)
    unit = config.data.document_unit
    splits = {
        split: datasets.divided(pieces, unit)
        for split, pieces in text.splits.items()
    }
    text = dataclasses.replace(text, splits=splits)
    if tokenizer is None:
        training = text.splits["train"].map(lambda piece: piece["text"])
        tokenizer = tokenizers.train(training, config.tokenizer)
    if config.data.shard is not None:
        # Every process has the tokenizer of the whole.
        part = datasets.sharded(text.splits["train"], config.data.shard)
        splits = {**text.splits, "train": part}
        text = dataclasses.replace(text, splits=splits)
    cache = _cache(config.data.cache_dir)
    stores = {}
    for split, pieces in text.splits.items():
        try:
            stores[split] = pipelines.prepare(pieces, tokenizer, cache)
        except ValueError as error:
            raise ValueError(f"in the {split} split {error}") from error
    return PreparedText(text, tokenizer, stores)


def _cache(chosen: str | None) -> Path:
    """The folder of texts turned into ids, made if need be."""
    path = Path(chosen or _CACHE)
    try:
        path = path.expanduser()
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # also without a home
        raise OSError(
            "`cache_dir` must be a folder to keep texts in as ids. Received: "
            f"cache_dir={path} ({error}). Name another with --cache_dir"
        ) from None
    return path
