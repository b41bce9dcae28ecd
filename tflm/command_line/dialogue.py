"""A text written line by line with a model, at a terminal."""

from collections.abc import Callable
from typing import Protocol

HELP = """\
TEXT        goes on with TEXT, then the model does; \\n is a new line
(nothing)   the model goes on
/choices K  the K likeliest next tokens, numbered
/take N     goes on with the choice of that number
/undo       takes the last change back
/help       this list
/quit       ends, as Ctrl-D does"""
_CHOICES = 10


class Draft(Protocol):
    """What is written: see `tflm.generation.Draft`."""

    @property
    def text(self) -> bytes:
        """The text as it is now."""

    def add(self, text: bytes) -> None:
        """Goes on with a text of one's own."""

    def write(self) -> None:
        """Lets the model go on."""

    def choices(self, k: int) -> list[tuple[bytes, float]]:
        """The likeliest next tokens and their probabilities."""

    def take(self, number: int, k: int) -> None:
        """Goes on with one of the choices."""

    def undo(self) -> bool:
        """Takes the last change back."""


class Dialogue:
    """Reads lines and does what they say to a draft.

    Args:
        draft: What is written.
        show: Shows a text to the person, such as `print`.
    """

    def __init__(self, draft: Draft, show: Callable[[str], object] = print):
        self.draft = draft
        self.show = show
        self._listed = _CHOICES

    def run(self, read: Callable[[], str]) -> None:
        """Goes on until `read` gives /quit or raises EOFError."""
        while True:
            try:
                line = read()
            except EOFError:
                return
            if line.strip() == "/quit":
                return
            self.answer(line)

    def answer(self, line: str) -> None:
        """Does what one line says."""
        command, _, value = line.strip().partition(" ")
        if not command.startswith("/"):
            self._go_on(line)
        elif command == "/undo":
            if self.draft.undo():
                self._show_text()
            else:
                self.show("(there is nothing to undo)")
        elif command == "/choices":
            self._list(value)
        elif command == "/take":
            self._take(value)
        else:
            self.show(HELP)

    def _go_on(self, line: str) -> None:
        if line:
            # What a terminal hands over need not be UTF-8.
            typed = line.replace("\\n", "\n")
            self.draft.add(typed.encode("utf-8", "surrogateescape"))
        before = self.draft.text
        self.draft.write()
        self._show_text()
        if self.draft.text == before:
            self.show("(the text ends here)")

    def _list(self, value: str) -> None:
        if value and not (value.isdecimal() and int(value) > 0):
            self.show(f"(/choices wants a number from 1 on, not {value!r})")
            return
        self._listed = int(value) if value else _CHOICES
        for number, (token, share) in enumerate(
            self.draft.choices(self._listed), 1
        ):
            shown = repr(token.decode("utf-8", "replace")) if token else "(end)"
            self.show(f"{number:4} {share:7.2%}  {shown}")

    def _take(self, value: str) -> None:
        try:
            self.draft.take(int(value) - 1, self._listed)
        except (ValueError, IndexError):
            self.show(
                f"(/take wants the number of a choice, not {value!r}: "
                "/choices lists them)"
            )
            return
        self._show_text()

    def _show_text(self) -> None:
        self.show(self.draft.text.decode("utf-8", "replace"))
