import functools
import json

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm import tokenizers
from tflm.tokenizers import Characters, Tokenizer

# Characters that JSON or a text file might change on the way.
VOCABULARY = 'a\0\r\n\u2028\u0085"\\é\N{COMBINING ACUTE ACCENT}日🦜\ufeff\ufffd'


@pytest.mark.parametrize("lowercase", [False, True])
def test_saved_tokenizer_gives_the_same_ids(tmp_path, lowercase):
    tokenizer = Characters(VOCABULARY, lowercase=lowercase)
    tokenizer.save(tmp_path / "new" / "folder")
    loaded = tokenizers.load(tmp_path / "new" / "folder")
    texts = tf.constant([VOCABULARY, "Aa not known", ""])
    assert type(loaded) is Characters
    assert (
        loaded.tokenize(texts).to_list() == tokenizer.tokenize(texts).to_list()
    )
    assert loaded.get_config() == tokenizer.get_config()
    assert loaded.fingerprint() == tokenizer.fingerprint()


def test_saved_tokenizer_is_one_plain_json_file(tmp_path):
    Characters("b日").save(tmp_path)
    [path] = tmp_path.iterdir()
    assert path.name == "tokenizer.json"
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "kind": "characters",
        "lowercase": False,
        "vocabulary": ["b", "日"],
    }


def test_saving_replaces_an_older_tokenizer(tmp_path):
    for vocabulary in ("abc", "xy"):
        Characters(vocabulary).save(tmp_path)
    assert tokenizers.load(tmp_path).get_config()["vocabulary"] == ["x", "y"]


def test_config_makes_an_equal_tokenizer():
    tokenizer = Characters("ba", lowercase=True)
    again = Characters.from_config(tokenizer.get_config())
    assert again.get_config() == tokenizer.get_config()
    assert again.tokenize(tf.constant("ABC")).numpy().tolist() == [5, 4, 1]


def test_fingerprint_tells_apart_what_gives_other_ids():
    different = [
        Characters("ab"),
        Characters("ba"),
        Characters("abc"),
        Characters("ab", lowercase=True),
    ]
    prints = {tokenizer.fingerprint() for tokenizer in different}
    assert len(prints) == len(different)
    assert Characters(["a", "b"]).fingerprint() in prints


def test_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"`directory` must hold a saved tokenizer \(tokenizer.json\). "
        f"Received: directory='{tmp_path}'",
    ):
        tokenizers.load(tmp_path)


def test_unknown_kind_names_the_closest(tmp_path):
    saved = {"kind": "character", "vocabulary": []}
    (tmp_path / "tokenizer.json").write_text(json.dumps(saved))
    with pytest.raises(
        ValueError,
        match="unknown tokenizer 'character': did you mean 'characters'",
    ):
        tokenizers.load(tmp_path)


def test_kinds_are_listed_under_their_names():
    assert all(kind.kind == name for name, kind in tokenizers.KINDS.items())
    assert all(
        issubclass(kind, Tokenizer) for kind in tokenizers.KINDS.values()
    )


def test_tokenizer_alone_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Tokenizer()


OWN = [
    tokenizers.Bytes(),
    tokenizers.Characters("ab", lowercase=True),
    tokenizers.Words(["\n", "a"], lowercase=True),
    tokenizers.Words(["\n", "a", " b"], splitter="unicode"),
    tokenizers.WordPiece(["\n", "a", " b"], normalization="nfkc"),
]


@pytest.mark.parametrize("tokenizer", OWN)
def test_ids_and_unknown_bytes_come_together(tokenizer):
    texts = tf.constant(["a b,b abab\n\nxyz <unk>", "", "é"])
    ids, lost = tokenizer.tokenize_and_count(texts)
    assert ids.to_list() == tokenizer.tokenize(texts).to_list()
    assert int(lost) == tokenizer.unknown_bytes(texts).numpy().sum()


@functools.cache
def unknown(tokenizer):
    """Traced once, the unknown pieces of texts and their unknown bytes."""
    return tf.function(
        lambda texts: (
            tokenizer.unknown_pieces(texts),
            tokenizer.unknown_bytes(texts),
        ),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )


@pytest.mark.parametrize("tokenizer", OWN)
@settings(deadline=None)  # the first example traces
@given(st.lists(st.text("aAbB,é日\u0301\uff42<unk> \n"), max_size=3))
def test_unknown_pieces_have_the_unknown_bytes(tokenizer, texts):
    pieces, lost = unknown(tokenizer)(tf.constant(texts, tf.string))
    pieces = pieces.to_list()
    assert [sum(map(len, row)) for row in pieces] == lost.numpy().tolist()
    assert b"" not in [piece for row in pieces for piece in row]


def test_unknown_pieces_are_told_in_order():
    texts = ["zoo a-b\nzoo <unk>", "é", "a"]
    found = [
        [[piece.decode() for piece in row] for row in rows]
        for rows in (
            kind.unknown_pieces(tf.constant(texts)).to_list()
            for kind in OWN[1:]
        )
    ]
    assert found[0] == [[*"zoo -\nzoo <unk>"], ["é"], []]
    assert found[1] == [["zoo", "a-b", "zoo"], ["é"], []]
    assert found[2] == [["zoo", "-", "zoo"], ["é"], []]
    assert found[3] == [["zoo", "a-b", "zoo"], ["é"], []]
