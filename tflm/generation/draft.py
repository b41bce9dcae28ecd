"""A text that a person and a model write in turns."""

from collections.abc import Callable


class Draft:
    """A text with all that it was before.

    Args:
        write: Gives a longer text for a text.
        following: Gives, for a text and a number, as many of the likeliest
            next tokens with their probabilities.
        text: bytes, in UTF-8, with which it begins. Default: empty.

    Example:
    >>> draft = Draft(lambda text: text + b"!", lambda text, k: [(b"?", 1.0)])
    >>> draft.add(b"Well")
    >>> draft.write()
    >>> draft.take(0, k=1)
    >>> draft.text
    b'Well!?'
    >>> draft.undo(), draft.text
    (True, b'Well!')
    """

    def __init__(
        self,
        write: Callable[[bytes], bytes],
        following: Callable[[bytes, int], list[tuple[bytes, float]]],
        text: bytes = b"",
    ):
        self._write = write
        self._following = following
        self._versions = [text]

    @property
    def text(self) -> bytes:
        """The text as it is now."""
        return self._versions[-1]

    def add(self, text: bytes) -> None:
        """Goes on with a text of one's own."""
        self._change(self.text + text)

    def write(self) -> None:
        """Lets the model go on."""
        self._change(self._write(self.text))

    def choices(self, k: int) -> list[tuple[bytes, float]]:
        """The `k` likeliest next tokens and their probabilities."""
        return self._following(self.text, k)

    def take(self, number: int, k: int) -> None:
        """Goes on with one of the `k` choices, the first is 0.

        Raises:
            IndexError: If there is no such choice.
        """
        choices = self.choices(k)
        if not 0 <= number < len(choices):
            raise IndexError(
                f"`number` must be from 0 to {len(choices) - 1}. "
                f"Received: number={number}"
            )
        self._change(self.text + choices[number][0])

    def undo(self) -> bool:
        """Takes the last change back; False where there is none."""
        if len(self._versions) == 1:
            return False
        del self._versions[-1]
        return True

    def _change(self, text: bytes) -> None:
        if text != self.text:
            self._versions.append(text)
