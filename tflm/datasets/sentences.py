"""Sentences by rules: where one ends and the next begins."""

import re

# What ends a sentence, and the quotes and brackets that close with it. An
# ideographic full stop needs no space behind it.
_END = re.compile(
    r"""
    (?P<mark>[.!?…]+)[)\]"'”’»]*(?=\s)  # as in "He left. She"
    | [。！？]+[」』）”’]*              # as in Chinese and Japanese
    | \n\s*\n                           # a paragraph's end
    """,
    re.VERBOSE,
)
# A full stop behind one of these is no end.
_ABBREVIATIONS = frozenset(
    re.findall(
        r"\S+",
        "mr mrs ms dr prof rev hon st sr jr gen col capt lt sgt maj cmdr gov "
        "sen rep pres vs v etc e.g i.e cf al fig figs eq no nos vol vols ch "
        "sec pp p ed eds est approx dept univ inc ltd co corp bros ave blvd mt "
        "ft jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu "
        "fri sat sun u.s u.k u.n a.m p.m b.c a.d ph.d",
    )
)
_LONGEST_WORD = 100
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘«]+$")


def sentences(text: str) -> list[str]:
    r"""Cuts a text into sentences that joined give the text again.

    A sentence ends behind `.`, `!`, `?` or `…` and closing quotes, if white
    space follows and then no small letter; behind ideographic marks; and at a
    blank line. A full stop behind an initial, a known abbreviation or a word
    that goes on in small letters ends none.

    Args:
        text: Any text.

    Returns:
        The sentences, the white space behind each with it; at least one.

    Example:
    >>> sentences("Mr. Pym paid 3.50 to J. Doe. Why? He left.")
    ['Mr. Pym paid 3.50 to J. Doe. ', 'Why? ', 'He left.']
    """
    found = []
    begin = 0
    for match in _END.finditer(text):
        end = match.end()
        while end < len(text) and text[end].isspace():
            end += 1
        # A few characters back tell: a sentence may have no end in sight.
        back = max(begin, match.end() - _LONGEST_WORD)
        if match["mark"] and not _ends(text[back : match.end()], text, end):
            continue
        if begin < end < len(text):
            found.append(text[begin:end])
            begin = end
    return [*found, text[begin:]]


def _ends(sentence: str, text: str, following: int) -> bool:
    """Whether a sentence ends here, and `text[following:]` is the next."""
    if following < len(text) and text[following].islower():
        return False
    bare = sentence.rstrip(")]\"'”’»")
    if not bare.endswith(".") or bare.endswith(".."):
        return True
    word = _LAST_WORD.search(bare[:-1].rstrip())
    # WikiText has a space before its full stops: those end sentences.
    if word is None or bare[-2:-1].isspace():
        return True
    initial = len(word[0]) == 1 and word[0].isupper() and word[0] != "I"
    return not initial and word[0].lower() not in _ABBREVIATIONS
