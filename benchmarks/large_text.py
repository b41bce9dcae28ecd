"""A large text made from small ones, the same from the same files.

Paragraphs are sentences of the files, drawn anew, in which some words give
way to rare ones: parts of two words joined, drawn by a law of Zipf. So the
text has many distinct words, and no line stands in it twice.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

RARE_SHARE = 0.08
RARE_WORDS = 500_000
SENTENCES = (2, 7)  # of a paragraph, the second not included
AT_ONCE = 2_000  # paragraphs


def write(path: Path, folder: Path, megabytes: float) -> dict[str, int]:
    """Writes the text and says what it holds.

    Args:
        path: The file to write.
        folder: Of texts with words between spaces, such as WikiText's.
        megabytes: float. Size of the text in 10^6 bytes, or just above.

    Returns:
        Its bytes, lines, words and distinct words.
    """
    random = np.random.default_rng(0)
    words, sentences = _read(folder, random)
    used = np.zeros(len(words), bool)
    seen: set[int] = set()
    size = total = 0
    with path.open("wb") as file:
        while size < megabytes * 1e6:
            for ids in _paragraphs(sentences, len(words), random):
                line = b" %b \n" % b" ".join(words[ids])
                if hash(line) in seen:
                    continue
                seen.add(hash(line))
                used[ids] = True
                total += len(ids)
                size += file.write(line)
                if size >= megabytes * 1e6:
                    break
    return {
        "bytes": size,
        "lines": len(seen),
        "words": total,
        "distinct_words": int(used.sum()),
    }


def _read(
    folder: Path, random: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """All words, the made ones last, and sentences of the files as ids."""
    text = b"".join(path.read_bytes() for path in sorted(folder.iterdir()))
    ids: dict[bytes, int] = {}
    sentences = [
        np.array([ids.setdefault(word, len(ids)) for word in part.split()])
        for line in text.split(b"\n")
        for part in line.replace(b" . ", b" .\n").split(b"\n")
        if len(part.split()) > 3
    ]
    words = list(ids)
    letters = [word.decode() for word in words]
    pairs = random.integers(len(words), size=(3 * RARE_WORDS, 2)).tolist()
    made = dict.fromkeys(
        (letters[first][:3] + letters[last][-3:]).encode()
        for first, last in pairs
    )
    rare = [word for word in made if word not in ids][:RARE_WORDS]
    assert len(rare) == RARE_WORDS, "the files have too few words"
    return np.array(words + rare, object), sentences


def _paragraphs(
    sentences: list[np.ndarray], size: int, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """Some paragraphs' ids."""
    counts = random.integers(*SENTENCES, size=AT_ONCE)
    numbers = random.integers(len(sentences), size=counts.sum())
    chosen = [sentences[number] for number in numbers]
    ids = np.concatenate(chosen)
    # The density of a rank is as one over the rank.
    rank = (RARE_WORDS ** random.random(len(ids))).astype(np.int64)
    ids = np.where(random.random(len(ids)) < RARE_SHARE, size - rank, ids)
    lengths = np.array([len(sentence) for sentence in chosen])
    ends = np.cumsum(lengths)[np.cumsum(counts) - 1]
    yield from np.split(ids, ends[:-1])
