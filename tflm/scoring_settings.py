"""The settings of scoring: how a held-out text is read.

They stand apart from the code that obeys them, so that a command can name and
check its flags without TensorFlow.
"""

import dataclasses
from typing import Any

from tflm import checked

HISTORIES = ("carried", "none", "sliding")
DOCUMENTS = ("separate", "joined")


@dataclasses.dataclass(frozen=True)
class ScoringSettings(checked.Checked):
    """What a target's history is; each target is scored once in any case.

    `carried` is exact: a target's history is all of its document before it.
    `none` begins with a fresh state every `window` targets, and the input of
    a window's first target is still the token before it. `sliding` does too,
    but windows begin every `stride` targets and each scores only what none
    before it has scored, so that behind a document's first window a target
    has `window - stride` tokens of history or more. Published figures of GPTs
    are computed so.

    `joined` reads a split as one text, document after document, without an
    END between them, as published perplexities on WikiText do; `separate`
    starts afresh at each document.

    Raises:
        ValueError: If a value is out of its range, or set where the history
            has no use for it.
        TypeError: If a value has the wrong type.

    Example:
    >>> ScoringSettings(history="sliding").resolved(window=128).stride
    64
    """

    history: str = checked.setting(
        "carried", "what a target's history is", HISTORIES
    )
    window: int | None = checked.setting(
        None,
        "targets in a window, for none and sliding (default: the GPT's "
        "context, else the seq_len of training)",
    )
    stride: int | None = checked.setting(
        None, "targets from window to window, for sliding (default: half one)"
    )
    documents: str = checked.setting(
        "separate",
        "whether documents are read one by one or as one text",
        DOCUMENTS,
    )

    def resolved(self, window: int) -> "ScoringSettings":
        """The same, with what the history needs where it was not set.

        Args:
            window: int. The window where none is set.
        """
        if self.history == "carried":
            return self
        window = self.window or window
        stride = self.stride
        if self.history == "sliding" and stride is None:
            stride = max(window // 2, 1)
        return dataclasses.replace(self, window=window, stride=stride)

    def to_dict(self) -> dict[str, Any]:
        """What of the settings has a say, by name, ready for JSON."""
        said = {"history": self.history, "documents": self.documents}
        sizes = {"window": self.window, "stride": self.stride}
        return {**said, **{n: size for n, size in sizes.items() if size}}

    def _check_ranges(self) -> None:
        for name, users in _USERS.items():
            checked.require_at_least(1, self, name)
            value = getattr(self, name)
            if value is not None and self.history not in users:
                raise ValueError(
                    f"`{name}` needs `history` to be {' or '.join(users)}. "
                    f"Received: {name}={value}, history={self.history}"
                )
        if self.window and self.stride and self.stride > self.window:
            raise ValueError(
                "`stride` must be at most `window`, or targets are left out. "
                f"Received: stride={self.stride}, window={self.window}"
            )


# The histories that have a use for a size.
_USERS = {"window": ("none", "sliding"), "stride": ("sliding",)}
