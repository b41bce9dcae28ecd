import pytest

from tflm.generation import Draft


@pytest.fixture
def draft():
    """A model that counts, and offers the next two numbers."""

    def following(text, k):
        return [(b"%d" % (len(text) + n), 0.5**n) for n in range(1, k + 1)]

    return Draft(lambda text: text + b"%d" % len(text), following, b"a")


def test_every_change_can_be_undone_in_turn(draft):
    texts = [draft.text]
    for change in (
        draft.write,
        lambda: draft.add(b"b\xff"),
        lambda: draft.take(1, k=2),
        draft.write,
    ):
        change()
        texts.append(draft.text)
    assert texts == [b"a", b"a1", b"a1b\xff", b"a1b\xff6", b"a1b\xff65"]
    for text in reversed(texts[:-1]):
        assert draft.undo()
        assert draft.text == text
    assert not draft.undo()
    assert draft.text == b"a"


def test_nothing_written_is_no_change():
    draft = Draft(lambda text: text, lambda text, k: [])
    draft.write()
    draft.add(b"")
    assert not draft.undo()


@pytest.mark.parametrize("number", [-1, 2])
def test_choice_that_is_not_there_is_refused(draft, number):
    with pytest.raises(IndexError, match=rf"from 0 to 1. .*number={number}"):
        draft.take(number, k=2)
    assert draft.text == b"a"
