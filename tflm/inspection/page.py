"""All that is found out about a data set, for a terminal, a program, a file."""

import os
from typing import Any

from tflm import config as configuration
from tflm.inspection.byte_pair_merges import byte_pair_merges
from tflm.inspection.inventory import Inventory, take_inventory
from tflm.inspection.repetition import LEAST_CHARACTERS, find_repetition
from tflm.inspection.token_view import TokenView, columns
from tflm.pipelines import Examples, sequences_of
from tflm.training import drawing
from tflm.training.text import PreparedText

WIDTH = 78
_BAR = 40
_ROWS = 3  # of the batch that is shown

# What the table of splits says, with its format.
_TABLE = {
    "documents": ",d",
    "characters": ",d",
    "bytes": ",d",
    "tokens": ",d",
    "different_tokens": ",d",
    "bytes_per_token": ".3f",
    "characters_per_token": ".3f",
    "unknown_share": ".3%",
    "unknown_bytes_share": ".3%",
    "shortest_document": ",d",
    "median_document": ",.0f",
    "longest_document": ",d",
}


class Page:
    """A data set under a tokenizer.

    Args:
        text: The data.
        config: The settings that it was prepared with.
        most: int. Frequent tokens to list.
        with_merges: bool. Whether the byte-pair example is shown.
    """

    def __init__(
        self,
        text: PreparedText,
        config: configuration.Config,
        most: int = 20,
        with_merges: bool = False,
    ):
        self.text = text
        self.config = config
        self.view = TokenView(text.tokenizer)
        size = text.tokenizer.vocabulary_size
        self.inventories = {
            split: take_inventory(store, size)
            for split, store in text.stores.items()
        }
        # WikiText has a paragraph a line, and blank lines at headings alone.
        of_lines = text.text.name.startswith("wikitext")
        self.unit = "line" if of_lines else "paragraph"
        self.repetition = find_repetition(text.text.splits, self.unit)
        self.sequences = sequences_of(
            text.stores["train"], config.sequences, config.training.seed
        )
        self.frequent = self.inventories["train"].most_frequent(most)
        self.merges = byte_pair_merges() if with_merges else []

    def figures(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        texts = self.view.tokens([id_ for id_, _ in self.frequent])
        found = self.repetition
        batch = self.sequences.read(0)
        return {
            "dataset": self.text.text.name,
            "tokenizer": self.text.tokenizer.kind,
            "vocabulary_size": self.text.tokenizer.vocabulary_size,
            "splits": {
                split: {
                    **inventory.figures,
                    "histogram": inventory.histogram,
                    "duplicate_documents": found.duplicates[split],
                }
                for split, inventory in self.inventories.items()
            },
            "held_out": {
                split: {
                    "documents_in_train": found.shared_documents[split],
                    "paragraphs": found.paragraphs[split],
                    "paragraphs_in_train": found.shared_paragraphs[split],
                    "examples": found.examples[split],
                }
                for split in found.paragraphs
            },
            "frequent_tokens": [
                {"id": id_, "text": text, "count": count}
                for (id_, count), text in zip(self.frequent, texts, strict=True)
            ],
            "sequences": {
                "kind": self.config.sequences.sequences,
                "steps_per_epoch": self.sequences.steps(1),
                "padding": self.sequences.padding,
                "batch": {
                    name: part[:_ROWS].tolist()
                    for name, part in zip(
                        ("inputs", "targets", "weights"), batch, strict=False
                    )
                },
            },
            "byte_pair_merges": [merge._asdict() for merge in self.merges],
        }

    def lines(self) -> list[str]:
        """Everything, as a terminal shows it."""
        tokenizer = self.text.tokenizer
        return [
            f"{self.text.text.name}, {tokenizer.kind}, a vocabulary of "
            f"{tokenizer.vocabulary_size:,}",
            *self._table(),
            *self._histogram(self.inventories["train"]),
            *self._frequent_tokens(),
            *self._repetition(),
            *self._batch(),
            *self._merges(),
        ]

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draws the lengths of the training documents; a PNG by default."""
        histogram = self.inventories["train"].histogram
        figure = drawing.new_figure(7, 4)
        axes = figure.add_subplot()
        axes.bar(
            [_range(low, high) for low, high, _ in histogram],
            [count for _, _, count in histogram],
        )
        axes.tick_params(axis="x", rotation=45)
        axes.set(xlabel="tokens", ylabel="documents", title=self.text.text.name)
        drawing.save(figure, path)

    def _table(self) -> list[str]:
        lines = ["", " " * 22 + "".join(f"{s:>16}" for s in self.inventories)]
        for name, form in _TABLE.items():
            line = f"{name.replace('_', ' '):<22}"
            for inventory in self.inventories.values():
                value = inventory.figures[name]
                line += f"{'-' if value is None else format(value, form):>16}"
            lines.append(line)
        return lines

    def _histogram(self, inventory: Inventory) -> list[str]:
        lines = ["", "tokens of a training document (END is one)"]
        most = max(count for _, _, count in inventory.histogram)
        for low, high, count in inventory.histogram:
            bar = "█" * round(_BAR * count / most) or ("▏" if count else "")
            lines.append(f"{_range(low, high):>22}  {bar} {count:,}".rstrip())
        return lines

    def _frequent_tokens(self) -> list[str]:
        total = self.inventories["train"].figures["tokens"]
        lines = ["", "most frequent tokens of the training text"]
        texts = self.view.tokens([id_ for id_, _ in self.frequent])
        for (id_, count), text in zip(self.frequent, texts, strict=True):
            gap = " " * max(20 - columns(text), 1)
            lines.append(
                f"{id_:>8}  {text}{gap}{count:>14,}  {count / total:>7.2%}"
            )
        return lines

    def _repetition(self) -> list[str]:
        found = self.repetition
        lines = ["", "repetition"]
        for split, count in found.duplicates.items():
            documents = self.inventories[split].figures["documents"]
            lines.append(
                f"  {split}: {count:,} of {documents:,} documents come twice"
            )
        for split, count in found.paragraphs.items():
            shared = found.shared_paragraphs[split]
            lines.append(
                f"  {split}: {found.shared_documents[split]:,} documents and "
                f"{shared:,} of {count:,} {self.unit}s stand in train too"
            )
            lines += [f"    {text}" for text in found.examples[split]]
        lines.append(
            f"  ({self.unit}s of {LEAST_CHARACTERS} characters or more)"
        )
        return lines

    def _batch(self) -> list[str]:
        settings, sequences = self.config.sequences, self.sequences
        lines = [
            "",
            f"the first rows of the first batch ({settings.sequences}, "
            f"{sequences.steps(1):,} batches an epoch, "
            f"{sequences.padding:.1%} padding)",
        ]
        for row in self.view.rows(
            Examples(*sequences.read(0)[:3]), _ROWS, WIDTH - 2
        ):
            lines += [f"  {line}" for line in row] + [""]
        return lines[:-1]

    def _merges(self) -> list[str]:
        if not self.merges:
            return []
        lines = ["", "byte-pair encoding of five words, merge by merge"]
        for number, merge in enumerate(self.merges, start=1):
            pair = f"{merge.pair[0]} + {merge.pair[1]}"
            words = ", ".join(merge.words)
            lines.append(
                f"  {number}. {pair:<10} {merge.frequency:>3}   {words}"
            )
        return lines


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low >= high else f"{low:,} to {high:,}"
