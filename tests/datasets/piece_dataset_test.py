import random
import time

import pytest

from tflm.datasets.documents import Piece
from tflm.datasets.piece_dataset import dataset_of, pieces_of


def pieces_like(sizes):
    choose = random.Random(0)
    return [
        Piece(b"x" * size, choose.random() < 0.5, choose.random() < 0.5)
        for size in sizes
    ]


@pytest.mark.parametrize(
    "sizes",
    [[], [0], [3, 0, 5], [1] * 3000, [2**20] * 3, [2**19 + 1, 1, 2**20, 7]],
)
def test_pieces_come_as_they_were_at_every_pass(sizes):
    pieces = pieces_like(sizes)
    passes = []

    def read():
        passes.append(1)
        return iter(pieces)

    dataset = dataset_of(read)
    for _ in range(2):
        assert list(pieces_of(dataset)) == pieces
    assert len(passes) == 2


def test_few_long_pieces_are_held_at_once():
    read = []

    def pieces():
        for number in range(50):
            read.append(number)
            yield Piece(b"x" * 2**20, True, True)

    held = pieces_of(dataset_of(pieces))
    next(held)
    # Long enough for a reader in the background to read all of them.
    time.sleep(0.5)
    assert len(read) < 25
