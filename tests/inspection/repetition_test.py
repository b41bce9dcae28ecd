import tensorflow as tf

from tflm.datasets.documents import Piece
from tflm.inspection import find_repetition

LONG = "a paragraph of more than sixty characters, which is long enough"
OTHER = "another paragraph of more than sixty characters, which is as long"
SIGNATURE = {
    "text": tf.TensorSpec((), tf.string),
    "starts": tf.TensorSpec((), tf.bool),
    "ends": tf.TensorSpec((), tf.bool),
}


def dataset(*pieces):
    return tf.data.Dataset.from_generator(
        lambda: (piece._asdict() for piece in pieces),
        output_signature=SIGNATURE,
    )


def document(text):
    return Piece(text.encode(), True, True)


def test_what_comes_twice_is_counted():
    splits = {
        "train": dataset(
            document("one"),
            document("two"),
            document("one"),
            # A document in two pieces is one document.
            Piece(b"tw", True, False),
            Piece(b"o", False, True),
            document(f"heading\n\n{LONG}\n\nheading"),
        ),
        "validation": dataset(
            document("two"),
            document("three"),
            document("three"),
            # The same words, with other white space.
            document(f"heading\n\n{LONG.replace(' ', '  ')}\n\n{OTHER}"),
        ),
        "test": dataset(document(OTHER)),
    }
    found = find_repetition(splits)
    assert found.duplicates == {"train": 2, "validation": 1, "test": 0}
    assert found.shared_documents == {"validation": 1, "test": 0}
    assert found.paragraphs == {"validation": 2, "test": 1}
    assert found.shared_paragraphs == {"validation": 1, "test": 0}
    assert found.examples == {"validation": [LONG[:70]], "test": []}


def test_paragraphs_may_be_lines():
    splits = {
        "train": dataset(document(f"{LONG}\n{OTHER}")),
        "validation": dataset(document(f"x\n{OTHER}\ny")),
    }
    assert find_repetition(splits).shared_paragraphs == {"validation": 0}
    assert find_repetition(splits, "line").shared_paragraphs == {
        "validation": 1
    }
