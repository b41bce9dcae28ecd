import numpy as np

from tflm.inspection import TokenView
from tflm.inspection.token_view import columns, visible
from tflm.pipelines import Examples
from tflm.tokenizers import Bytes, Characters, Words


def test_special_ids_have_names_and_others_their_text():
    view = TokenView(Words(["\n", "the", "a\u0301"]))
    assert view.tokens([0, 1, 2, 3, 4, 5, 6]) == [
        "⟨pad⟩",
        "⟨unk⟩",
        "⟨start⟩",
        "⟨end⟩",
        "⏎",
        "the",
        "a\\u0301",
    ]
    assert TokenView(Bytes()).tokens([4 + 0xE9, 4 + ord("a")]) == ["\\xe9", "a"]
    assert view.tokens([]) == []


def test_nothing_that_moves_a_terminal_is_left():
    text = "\x1b[2J\r\b\u202e\u200d\ufeff\x00\u2028"
    assert visible(text.encode()).isascii()
    assert visible("a b\tc\n日".encode()) == "a␣b⇥c⏎日"


def test_rows_are_columns_of_inputs_targets_and_weights():
    view = TokenView(Characters("日ab"))
    batch = Examples(
        np.array([[2, 4, 5, 0]]),
        np.array([[4, 5, 3, 0]]),
        np.array([[1, 1, 1, 0]], np.float32),
    )
    [row] = view.rows(batch, most=3, width=60)
    assert row == [
        "input   ⟨start⟩ 日 a     ⟨pad⟩",
        "target  日      a  ⟨end⟩ ⟨pad⟩",
        "weight  1       1  1     0",
    ]
    [narrow] = view.rows(batch, most=3, width=20)
    assert narrow[0] == "input   ⟨start⟩ 日"
    assert max(map(columns, row)) == 30
