"""SentencePiece: exact for all of Unicode, equal to the library's own ids."""

import io

import keras
import pytest
import sentencepiece
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2

from tflm import config, tokenizers
from tflm.tokenizers import SentencePiece

TEXT = "the cat sat\ton the mat\n\nThe 猫 sat e\u0301t é, the cats sit\n" * 5
SIZE = 279
HARD = [
    "",
    " ",
    "\n",
    "\n\n  the  cat \t\r\n",
    "a\0b\0",
    "\u2581",
    "\u2581\u2581the\u2581 \u2581\n\u2581",
    "e\u0301\u0302 \u202eשלום\u202c مرحبا",
    "\N{WOMAN}\u200d\N{WOMAN}\u200d\N{GIRL} \N{GRINNING FACE}\ufe0f",
    "[PAD][UNK][START][END]<pad><unk><s></s><0x0A>pad id",
    "\ufffd\ufeff\U0010ffff",
]


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def tokenizer(request):
    return SentencePiece.train([TEXT], request.param, SIZE)


def library(tokenizer):
    processor = sentencepiece.SentencePieceProcessor()
    processor.load_from_serialized_proto(tokenizer.model)
    return processor


def expected(processor, text):
    """The library's ids; its own bytes where it would read a space."""
    block = [
        processor.piece_to_id(f"<0x{byte:02X}>") for byte in b"\xe2\x96\x81"
    ]
    first, *rest = (processor.encode(part) for part in text.split("\u2581"))
    return first + [id_ for ids in rest for id_ in [*block, *ids]]


def test_ids_are_the_librarys(tokenizer):
    processor = library(tokenizer)
    for text in [*HARD, TEXT]:
        ids = tokenizer.tokenize(tf.constant(text)).numpy().tolist()
        assert ids == expected(processor, text), repr(text)
    assert tokenizer.vocabulary_size == processor.get_piece_size() == SIZE
    # It has learnt pieces of more than a character, spaces among them.
    ids = tokenizer.tokenize(tf.constant("the cat"))
    pieces = tokenizer.detokenize(ids[:, tf.newaxis]).numpy().tolist()
    assert max(map(len, pieces)) > 1
    assert b"".join(pieces) == b"the cat"


def test_hard_texts_come_back_in_every_form_of_call(tokenizer):
    texts = [text.encode() for text in HARD]
    ids = tokenizer.tokenize(tf.constant(HARD))
    assert tokenizer.detokenize(ids).numpy().tolist() == texts
    rows = ids.to_list()
    dataset = tf.data.Dataset.from_tensor_slices(HARD)
    scalar = dataset.map(tokenizer.tokenize)
    assert [row.tolist() for row in scalar.as_numpy_iterator()] == rows
    batched = dataset.batch(4).map(
        lambda batch: tokenizer.detokenize(tokenizer.tokenize(batch))
    )
    assert [text for b in batched.as_numpy_iterator() for text in b] == texts
    for text, row in zip(HARD, rows, strict=True):
        assert tokenizer.tokenize(text).numpy().tolist() == row
        assert tokenizer.detokenize(row).numpy() == text.encode()


def test_it_outlives_what_tensorflow_drops_when_a_seed_is_set(tokenizer):
    ids = tokenizer.tokenize(tf.constant(HARD)).to_list()
    keras.utils.set_random_seed(3)
    assert tokenizer.tokenize(tf.constant(HARD)).to_list() == ids


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(st.text(max_size=12), min_size=1, max_size=4))
def test_round_trip_is_exact_for_all_of_unicode(tokenizer, texts):
    texts = [text.encode(errors="replace") for text in texts]
    ids = tokenizer.tokenize(tf.constant(texts))
    assert tokenizer.detokenize(ids).numpy().tolist() == texts
    assert tokenizer.unk_id not in ids.flat_values.numpy()
    assert not tokenizer.unknown_bytes(texts).numpy().any()


def test_what_is_not_utf8_is_the_replacement_character(tokenizer):
    texts = [b"a\xff\xe6\x97 b", b"\xf0\x9f\x98\n\xc0\x80", b"\xed\xa0\x80"]
    back = tokenizer.detokenize(tokenizer.tokenize(tf.constant(texts)))
    expected = [text.decode(errors="replace") for text in texts]
    assert [text.decode() for text in back.numpy()] == expected


def test_word_has_its_tokens_wherever_it_stands(tokenizer):
    words = ["the", " cat", " cats", " sat"]
    own = [tokenizer.tokenize(word).numpy().tolist() for word in words]
    ids = tokenizer.tokenize("".join(words)).numpy().tolist()
    assert ids == [id_ for row in own for id_ in row]


def test_one_text_gives_one_model(tokenizer):
    model_type = sentencepiece_model_pb2.ModelProto.FromString(
        tokenizer.model
    ).trainer_spec.model_type
    names = {1: "unigram", 2: "bpe"}
    again = SentencePiece.train([TEXT], names[model_type], SIZE)
    assert again.model == tokenizer.model


def test_special_ids_are_nothing_and_the_unknown_its_sign(tokenizer):
    assert tokenizer.detokenize([0, 2, 3]).numpy() == b""
    assert tokenizer.detokenize([1]).numpy().decode() == "\ufffd"


def test_lower_case_is_tensorflows():
    tokenizer = SentencePiece.train(
        [TEXT], vocabulary_size=SIZE, lowercase=True
    )
    ids = tokenizer.tokenize(tf.constant("THE Cat É"))
    assert tokenizer.detokenize(ids).numpy().decode() == "the cat é"
    pieces = tokenizer.detokenize(tf.range(4, SIZE)[:, tf.newaxis]).numpy()
    learnt = [piece for piece in pieces if len(piece) > 1]
    assert learnt
    assert not any(b"T" in piece for piece in learnt)


def test_saved_tokenizer_gives_the_same_ids(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    loaded = tokenizers.load(tmp_path)
    assert loaded.fingerprint() == tokenizer.fingerprint()
    assert loaded.tokenize(HARD).to_list() == tokenizer.tokenize(HARD).to_list()


def test_size_is_as_said_or_what_the_text_allows():
    assert SentencePiece.train(["abab"]).vocabulary_size < 300
    with pytest.raises(ValueError, match=r"at most 2\d\d, which .*=9999"):
        SentencePiece.train(["abab"], "unigram", 9999)
    with pytest.raises(ValueError, match=r"at most 2\d\d, which .*=9999"):
        SentencePiece.train(["abab"], "bpe", 9999)
    with pytest.raises(ValueError, match=r"at least 262, .*=261"):
        SentencePiece.train(["abab"], "bpe", 261)
    with pytest.raises(ValueError, match="hold a character .* empty text"):
        SentencePiece.train(["\n\n"])


def test_model_of_another_form_is_refused(tokenizer):
    other = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["abab"] * 9),
        model_writer=other,
        vocab_size=6,
        model_type="char",
        minloglevel=2,
    )
    with pytest.raises(ValueError, match="byte fallback .*: 0 bytes"):
        SentencePiece(other.getvalue())


def test_model_whose_pieces_go_on_behind_a_space_is_refused(tokenizer):
    model = sentencepiece_model_pb2.ModelProto.FromString(tokenizer.model)
    model.pieces[-1].piece = "e\u2581c"
    with pytest.raises(ValueError, match="behind its first.*piece='e c'"):
        SentencePiece(model.SerializeToString())


def test_settings_name_the_kinds_and_the_sample():
    texts = ["abcd abcd", "wxyz wxyz " * 50, TEXT]
    for kind in ("unigram", "bpe"):
        chosen = config.TokenizerConfig(tokenizer=kind, vocabulary_size=284)
        trained = tokenizers.train(texts, chosen)
        assert (trained.kind, trained.vocabulary_size) == (
            "sentence_piece",
            284,
        )
