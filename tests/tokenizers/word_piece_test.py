"""WordPiece: longest match by plain Python, round trips, unknown words."""

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm import config, tokenizers
from tflm.tokenizers import WordPiece

TEXT = "the cat sat on the mats\nthe sitting cats sat 猫猫 e\u0301t\n" * 4
words = st.text(st.sampled_from("acehimnost猫e\u0301#"), min_size=1, max_size=9)


@pytest.fixture(scope="module")
def tokenizer():
    return WordPiece.train([TEXT], vocabulary_size=60)


def longest_match(tokenizer, text):
    """The ids by the definition: from the left, the longest piece there is."""
    known = {piece: 4 + i for i, piece in enumerate(tokenizer.vocabulary)}
    ids = []
    for number, line in enumerate(text.split("\n")):
        ids += [known["\n"]] * (number > 0)
        for raw in line.encode().split():  # by ASCII white space alone
            word = raw.decode()
            pieces, begin = [], 0
            while begin < len(word):
                for end in range(len(word), begin, -1):
                    piece = " " * (begin > 0) + word[begin:end]
                    if piece in known:
                        break
                else:
                    pieces = [1]
                    break
                pieces.append(known[piece])
                begin = end
            ids += [1] if word == tokenizer.unknown_word else pieces
    return ids


def test_vocabulary_has_the_newline_all_characters_and_frequent_pieces(
    tokenizer,
):
    pieces = tokenizer.vocabulary
    assert pieces[0] == "\n"
    characters = set("".join(TEXT.split()))
    assert characters | {f" {c}" for c in characters} <= set(pieces)
    assert {"the", "sat"} <= set(pieces)
    assert tokenizer.vocabulary_size <= 60


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(st.lists(words, max_size=4), min_size=1, max_size=3))
def test_ids_are_the_longest_pieces_and_known_text_comes_back(tokenizer, lines):
    text = "\n".join(" ".join(line) for line in lines)
    ids = tokenizer.tokenize(tf.constant([text, ""]))
    assert ids.to_list() == [longest_match(tokenizer, text), []]
    if tokenizer.unk_id not in ids.flat_values:
        assert tokenizer.detokenize(ids).numpy().tolist() == [
            text.encode(),
            b"",
        ]


def test_special_names_and_joiners_in_a_text_are_ordinary_text(tokenizer):
    text = "[UNK] unknown pad ##the <unk> the"
    ids = tokenizer.tokenize(tf.constant(text)).numpy().tolist()
    assert ids == longest_match(tokenizer, text)
    the = longest_match(tokenizer, "the")
    assert ids == [1, 1, 1, 1, 1, *the]
    assert tokenizer.unknown_bytes(text).numpy() == len("[UNK]unknownpad##the")


def test_word_that_is_too_long_is_unknown_as_a_whole(tokenizer):
    assert tokenizer.tokenize("a" * 100).numpy().tolist() != [1]
    assert tokenizer.tokenize("a" * 101).numpy().tolist() == [1]
    assert tokenizer.unknown_bytes("a" * 101).numpy() == 101


def test_every_form_of_call_gives_the_same(tokenizer, tmp_path):
    texts = ["the cat", "", "\n\n", "sitting mats\n猫 the", "dog \u00a0 the"]
    rows = [longest_match(tokenizer, text) for text in texts]
    assert tokenizer.tokenize(tf.constant(texts)).to_list() == rows
    dataset = tf.data.Dataset.from_tensor_slices(texts)
    scalar = dataset.map(tokenizer.tokenize).as_numpy_iterator()
    assert [row.tolist() for row in scalar] == rows
    batched = dataset.batch(2).map(tokenizer.tokenize)
    assert [r for b in batched for r in b.to_list()] == rows
    tokenizer.save(tmp_path)
    loaded = tokenizers.load(tmp_path)
    assert loaded.tokenize(tf.constant(texts)).to_list() == rows
    assert loaded.fingerprint() == tokenizer.fingerprint()


def test_piece_that_goes_on_with_a_word_has_no_space(tokenizer):
    cat = tokenizer.tokenize("cat").numpy().tolist()
    behind = 4 + tokenizer.vocabulary.index(" s")
    joined = tokenizer.continuation(tf.constant([[*cat, behind]]), ["the"])
    assert joined.numpy()[0] == b" cats"


def test_wikitexts_spaces_before_newlines_are_learnt():
    text = " \n = Title = \n \n two words . \n"
    tokenizer = WordPiece.train([text], vocabulary_size=60)
    assert tokenizer.spaced
    ids = tokenizer.tokenize(text)
    assert tokenizer.detokenize(ids).numpy().decode() == text


def test_bad_sizes_and_texts_are_refused():
    with pytest.raises(ValueError, match=r"at least 13, .*vocabulary_size=12"):
        WordPiece.train(["abcd"], vocabulary_size=12)
    assert WordPiece.train(["abcd"], vocabulary_size=13).vocabulary_size == 13
    with pytest.raises(ValueError, match="hold a word to learn from"):
        WordPiece.train([" \n "])
    with pytest.raises(ValueError, match="without white space.*' '"):
        WordPiece(["\n", " "])
    with pytest.raises(ValueError, match="each word once.*' a'"):
        WordPiece(["\n", " a", "a", " a"])


def test_rare_characters_are_left_out_where_they_are_many():
    rare = "".join(map(chr, range(0x4E00, 0x4E32)))  # 50, each one time
    texts = ["abc " * 50_000 + " ".join(rare)]
    trained = WordPiece.train(texts, vocabulary_size=45)
    single = {p for p in trained.vocabulary if len(p) == 1} - {"\n"}
    # They take half of the 40 places, and the three of the text come first.
    assert single == {"a", "b", "c", *rare[:7]}
    assert "abc" in trained.vocabulary
    lost = [c for c in rare if c not in single]
    assert trained.unknown_bytes(" ".join(lost)).numpy() == 3 * len(lost)
    # All of them have a place where there is room.
    roomy = WordPiece.train(texts, vocabulary_size=300)
    assert set(rare) < set(roomy.vocabulary)


def test_settings_name_the_kind(tokenizer):
    chosen = config.TokenizerConfig(tokenizer="word_piece", vocabulary_size=60)
    trained = tokenizers.train([TEXT], chosen)
    assert trained.get_config() == tokenizer.get_config()


def test_unknown_word_is_read_in_the_form_of_the_text():
    texts = ["Ab <UNK> ab <UNK>"] * 3
    tokenizer = WordPiece.train(texts, lowercase=True, unknown_word="<UNK>")
    assert not {"<", "u", "<unk>"} & set(tokenizer.vocabulary)
    ids = tokenizer.tokenize("<UNK> ab").numpy().tolist()
    assert ids[0] == tokenizer.unk_id and tokenizer.unk_id not in ids[1:]
    assert tokenizer.detokenize(ids).numpy() == b"<UNK> ab"
    assert tokenizer.unknown_bytes("<UNK> ab").numpy() == 0


def test_words_with_nul_are_unknown():
    tokenizer = WordPiece.train(["a\0b c\n"] * 5, vocabulary_size=40)
    ids = tokenizer.tokenize("c a\0b c").numpy().tolist()
    assert ids[0] == ids[2] != tokenizer.unk_id == ids[1]
    assert tokenizer.unknown_bytes("c a\0b").numpy() == 3
    with pytest.raises(ValueError, match=r"must hold words .*'a\\x00'"):
        WordPiece(["\n", "a\0"])
