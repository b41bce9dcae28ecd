r"""Texts coloured by how surprising each token is, for terminals and browsers.

The colours stand for bits: each level begins at twice the bits of the one
before it.
"""

import html
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tflm.generation.token_surprisal import TokenSurprisal

# A level's least bits, its colour in a terminal of 256 and in a browser.
_LEVELS = (
    (0, "", "#ffffff"),
    (1, "230", "#fff7d1"),
    (2, "222", "#ffe08a"),
    (4, "215", "#ffb659"),
    (8, "209", "#ff8a54"),
    (16, "203", "#f4606c"),
)
_LONGEST_BAR = 40

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light; }}
body {{ font: 16px/1.7 monospace; color: #000; background: #fff;
  margin: 2em auto; max-width: 50em; padding: 0 1em; }}
.text {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
.unknown {{ text-decoration: underline dotted; }}
.total {{ color: #555; }}
{colours}
</style>
</head>
<body>
<h1>{title}</h1>
<p>Bits of surprise: {legend} <span class="unknown">unknown</span></p>
{texts}
</body>
</html>
"""


class Piece(NamedTuple):
    """Whole characters of a text, and what their tokens cost together."""

    text: str
    bits: float | None  # None for what is no token, such as white space
    unknown: bool


def terminal_picture(
    text: bytes, tokens: Sequence[TokenSurprisal], colour: bool
) -> str:
    """A text as a terminal shows it.

    Args:
        text: The text in UTF-8.
        tokens: The cost of each of its tokens.
        colour: Whether ANSI colours may be used. Without them each token has
            a line: its bits, a bar of as many signs, and its text.

    Returns:
        str. Characters that would control the terminal are spelled out.

    Example:
    >>> tokens = [TokenSurprisal(0, 1, 2.0, False)]
    >>> terminal_picture(b"a", tokens, colour=False)
    "  2.89 ###            'a'"
    """
    pieces = list(_pieces(text, tokens))
    if colour:
        return "".join(_coloured(piece) for piece in pieces)
    return "\n".join(_line(p) for p in pieces if p.bits is not None)


def terminal_legend() -> str:
    """What the colours of `terminal_picture` stand for, in one line."""
    levels = (
        _coloured(Piece(f" {least}+ ", least, False)) for least, *_ in _LEVELS
    )
    return f"bits: {' '.join(levels)}"


def html_picture(
    title: str,
    texts: Sequence[bytes],
    surprisals: Sequence[Sequence[TokenSurprisal]],
) -> str:
    """A page that shows texts and needs nothing beside itself.

    Args:
        title: Its heading.
        texts: Texts in UTF-8.
        surprisals: For each text the cost of each of its tokens.

    Returns:
        The page. Where the pointer rests on a token stand its bits.

    Example:
    >>> page = html_picture("a model", [b"<a>"], [[]])
    >>> "&lt;a&gt;" in page
    True
    """
    colours = (
        f".b{least} {{ background: {shade}; }}" for least, _, shade in _LEVELS
    )
    legend = (
        f'<span class="b{least}">&nbsp;{least}+&nbsp;</span>'
        for least, *_ in _LEVELS
    )
    return _PAGE.format(
        title=html.escape(title),
        colours="\n".join(colours),
        legend=" ".join(legend),
        texts="\n".join(map(_paragraph, texts, surprisals)),
    )


def _pieces(text: bytes, tokens: Sequence[TokenSurprisal]) -> Iterator[Piece]:
    """The text, cut where tokens end that end with a character."""
    done = 0
    group: list[TokenSurprisal] = []
    for place, token in enumerate(tokens, 1):
        if not group and token.begin > done:
            yield Piece(_shown(text[done : token.begin]), None, False)
            done = token.begin
        group.append(token)
        shared = place < len(tokens) and tokens[place].begin < token.end
        if shared or _inside_character(text, token.end):
            continue
        bits = sum(member.bits for member in group)
        unknown = any(member.unknown for member in group)
        yield Piece(_shown(text[done : token.end]), bits, unknown)
        done, group = token.end, []
    if done < len(text):
        yield Piece(_shown(text[done:]), None, False)


def _inside_character(text: bytes, place: int) -> bool:
    """Whether UTF-8 has bytes of one character on both sides."""
    return place < len(text) and text[place] & 0xC0 == 0x80


def _shown(text: bytes) -> str:
    """The text with line ends to be seen and controls spelled out."""
    return "".join(
        _CONTROLS.get(character) or repr(character)[1:-1]
        if not character.isprintable()
        else character
        for character in text.decode("utf-8", "replace")
    )


_CONTROLS = {"\n": "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}\n", "\t": "\t"}


def _level(bits: float) -> tuple[int, str, str]:
    return [level for level in _LEVELS if bits >= level[0]][-1]


def _coloured(piece: Piece) -> str:
    _, shade, _ = _level(max(piece.bits or 0, 0))
    if not shade:
        return piece.text
    # A colour that is on at a line's end would fill the rest of the line.
    text = piece.text.removesuffix("\n")
    end = piece.text[len(text) :]
    underlined = "4;" if piece.unknown else ""
    return f"\x1b[{underlined}38;5;16;48;5;{shade}m{text}\x1b[0m{end}"


def _line(piece: Piece) -> str:
    assert piece.bits is not None  # only tokens have a line
    bar = "#" * round(min(max(piece.bits, 0), _LONGEST_BAR))
    shown = piece.text.removesuffix("\n")
    unknown = " (unknown)" if piece.unknown else ""
    return f"{piece.bits:6.2f} {bar:<14} {shown!r}{unknown}"


def _paragraph(text: bytes, tokens: Sequence[TokenSurprisal]) -> str:
    pieces = "".join(map(_span, _pieces(text, tokens)))
    bits = sum(token.bits for token in tokens)
    return (
        f'<p class="text">{pieces}</p>\n'
        f'<p class="total">{bits:.2f} bits, {len(tokens):,} tokens</p>'
    )


def _span(piece: Piece) -> str:
    shown = html.escape(piece.text)
    if piece.bits is None:
        return shown
    kind = f"b{_level(max(piece.bits, 0))[0]}" + " unknown" * piece.unknown
    return f'<span class="{kind}" title="{piece.bits:.2f} bits">{shown}</span>'
