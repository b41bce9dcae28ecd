"""KerasHub's tokenizers: its Python forms, brute force and round trips."""

import functools
import io
import json
import os
import random
import subprocess
import sys

import keras
import keras_nlp
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm import generation, models, pipelines, tokenizers
from tflm.tokenizers import KerasHubTokenizer

hub = keras_nlp.tokenizers
pytestmark = [
    # SentencePiece's classes, made by SWIG, name no module.
    pytest.mark.filterwarnings("ignore:builtin type .* has no __module__"),
]

CORPUS = "the cat sat on the mat. a rat ate the cat's hat; é 日本 ate it.\n"
NAMES = ["[PAD]", "[UNK]", "[START]", "[END]"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz"]
PIECES = [
    *NAMES,
    *("the", "cat", "sat", ".", "[", "]", "on", "日", "é", "a"),
    *("[MASK]", "<s>"),
    *(f"##{letter}" for letter in LETTERS),
    *LETTERS[1:],
]
TEXTS = [
    "the cat sat on a mat.",
    "  the\n\tcat  ",
    "",
    " ",
    "[PAD] the [UNK] [START]<s> [END] </s> <|endoftext|>",
    "é e\u0301 日本 ☃ 👩‍👩‍👧 the☃cat",
    "The Cat",
    "a",
]


def word_piece(**options):
    return hub.WordPieceTokenizer(vocabulary=PIECES, **options)


def byte_pair(kind=hub.BytePairTokenizer, **options):
    """Pieces of every byte, a few merges, a special token in the middle."""
    letters = keras_nlp.src.tokenizers.byte_pair_tokenizer.bytes_to_unicode()[1]
    merges = ["t h", "th e", "Ġ the", "Ġ c", "a t", "Ġc at", "Ã ©"]
    merged = [merge.replace(" ", "") for merge in merges]
    pieces = [*letters[:100], "<|endoftext|>", *letters[100:], *merged]
    # The order of a vocabulary is not that of its ids.
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    vocabulary = dict(sorted(vocabulary.items()))
    return kind(vocabulary=vocabulary, merges=merges, **options)


def sentence_piece(**options):
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([CORPUS] * 4),
        model_writer=written,
        hard_vocab_limit=False,
        minloglevel=5,
        **{"vocab_size": 40, **options},
    )
    return hub.SentencePieceTokenizer(proto=written.getvalue())


EXACT = {
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "byte_fallback": True,
    "vocab_size": 300,
}
MAKERS = {
    "bytes": lambda: hub.ByteTokenizer(lowercase=False),
    "byte_pair": byte_pair,
    "sentence_piece": sentence_piece,
    "word_piece": word_piece,
}


@pytest.fixture(scope="module")
def made():
    """Each kind: KerasHub's tokenizer and the adapter of it."""
    both = {}
    for name, make in MAKERS.items():
        original = make()
        both[name] = original, KerasHubTokenizer(original)
    return both


@pytest.fixture(params=MAKERS)
def pair(made, request):
    return made[request.param]


def numbers_of(original):
    """KerasHub's numbers of the pieces that have ids, in order, by hand."""
    if isinstance(original, hub.ByteTokenizer):
        return list(range(256))
    if isinstance(original, hub.BytePairTokenizer):
        return [n for n in range(len(original.vocabulary)) if n != 100]
    if isinstance(original, hub.SentencePieceTokenizer):
        return list(range(3, original.vocabulary_size()))  # <unk> <s> </s>
    kept = [p for p in PIECES if p not in [*NAMES, "[MASK]", "<s>"]]
    return [PIECES.index(piece) for piece in kept]


def test_ids_are_those_of_kerashubs_own_python_form(pair):
    original, tokenizer = pair
    numbers = numbers_of(original)
    assert tokenizer.vocabulary_size == 4 + len(numbers)
    texts = TEXTS
    if isinstance(original, hub.BytePairTokenizer):
        # There KerasHub's two forms part words at other places.
        texts = ["the cat sat on a mat", "", "caté thethe", "日"]
    ids = {number: 4 + place for place, number in enumerate(numbers)}
    expected = [
        [ids.get(number, 1) for number in row]
        for row in original.tokenize(texts)
    ]
    found = tokenizer.tokenize(tf.constant(texts))
    assert found.dtype == tf.int32
    assert found.to_list() == expected


def test_every_way_of_calling_gives_the_same(pair):
    _, tokenizer = pair
    rows = tokenizer.tokenize(tf.constant(TEXTS)).to_list()
    for text, row in zip(TEXTS, rows, strict=True):
        assert tokenizer.tokenize(text).numpy().tolist() == row
        assert tokenizer.tokenize([text]).to_list() == [row]
        assert tokenizer.detokenize(row or tf.zeros([0], tf.int32)).shape == []
    texts = tf.data.Dataset.from_tensor_slices(TEXTS)
    single = [
        ids.tolist()
        for ids in texts.map(tokenizer.tokenize).as_numpy_iterator()
    ]
    batched = texts.batch(3).map(tokenizer.tokenize)
    assert single == rows
    assert [row for batch in batched for row in batch.to_list()] == rows
    back = tokenizer.detokenize(tf.ragged.constant(rows, tf.int32))
    again = batched.map(tokenizer.detokenize).unbatch()
    assert list(again.as_numpy_iterator()) == back.numpy().tolist()
    lost = tokenizer.unknown_bytes(tf.constant(TEXTS))
    assert lost.dtype == tf.int64
    assert lost.numpy().tolist() == [
        int(tokenizer.unknown_bytes(text)) for text in TEXTS
    ]
    for none in ([], [""], ["", ""]):
        strings = tf.constant(none, tf.string)
        assert tokenizer.tokenize(strings).to_list() == [[] for _ in none]
        assert tokenizer.unknown_bytes(strings).numpy().tolist() == [
            0 for _ in none
        ]


@pytest.mark.parametrize("kind", MAKERS)
def test_it_outlives_what_tensorflow_drops_when_a_seed_is_set(made, kind):
    tokenizer = made[kind][1]
    ids = tokenizer.tokenize(tf.constant(TEXTS)).to_list()
    lost = tokenizer.unknown_bytes(tf.constant(TEXTS)).numpy().tolist()
    keras.utils.set_random_seed(3)
    assert tokenizer.tokenize(tf.constant(TEXTS)).to_list() == ids
    assert tokenizer.unknown_bytes(tf.constant(TEXTS)).numpy().tolist() == lost


def test_ragged_and_dense_ids_give_the_same_text(pair):
    _, tokenizer = pair
    ids = tokenizer.tokenize(tf.constant(TEXTS))
    text = tokenizer.detokenize(ids).numpy().tolist()
    # Padding, start and end are nothing.
    assert tokenizer.detokenize(ids.to_tensor()).numpy().tolist() == text
    start = tf.fill([len(TEXTS), 1], tokenizer.start_id)
    framed = tf.concat([start, ids, start + 1], axis=1)
    assert tokenizer.detokenize(framed).numpy().tolist() == text


def test_known_pieces_are_joined_as_kerashub_joins_them(pair):
    original, tokenizer = pair
    numbers = numbers_of(original)
    choose = random.Random(1)
    for _ in range(30):
        row = choose.choices(range(len(numbers)), k=8)
        if isinstance(original, hub.ByteTokenizer):
            row = [32 + number % 95 for number in row]  # whole characters
        if isinstance(original, hub.WordPieceTokenizer):
            row[0] = 0  # "the": where a text begins, KerasHub keeps the "##"
        theirs = original.detokenize([numbers[number] for number in row])
        ours = tokenizer.detokenize([4 + number for number in row]).numpy()
        # There KerasHub puts a mark for broken characters.
        assert ours.decode(errors="replace") == theirs


@functools.cache
def there_and_back(tokenizer):
    """A text's ids, their text and the bytes that are lost, traced once."""

    def travel(text):
        ids = tokenizer.tokenize(text)
        return ids, tokenizer.detokenize(ids), tokenizer.unknown_bytes(text)

    traced = tf.function(travel, input_signature=[tf.TensorSpec([], tf.string)])
    return lambda text: [tensor.numpy() for tensor in traced(text)]


@settings(max_examples=40, deadline=None)
@given(text=st.binary(max_size=40))
def test_bytes_round_trip_whatever_they_are(made, text):
    ids, back, lost = there_and_back(made["bytes"][1])(text)
    assert ids.tolist() == [4 + byte for byte in text]
    assert (back, lost) == (text, 0)


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(
        st.characters(codec="utf-8", exclude_characters="\0\u096c"), max_size=30
    )
)
def test_byte_pairs_round_trip_all_text(made, text):
    _, back, lost = there_and_back(made["byte_pair"][1])(text)
    assert (back, lost) == (text.encode(), 0)


def test_byte_pairs_count_what_kerashub_loses(made):
    tokenizer = made["byte_pair"][1]
    assert (
        tokenizer.detokenize(tokenizer.tokenize("a \u096c b")).numpy()
        == b"a  b"
    )
    assert tokenizer.unknown_bytes("a \u096c b\0").numpy() == 4


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=30))
def test_sentence_pieces_without_normalisation_round_trip(exact, text):
    text = text.replace("\u2581", "").replace("\0", "")
    _, back, lost = there_and_back(exact)(text)
    assert (back, lost) == (text.encode(), 0)


@pytest.fixture(scope="module")
def exact():
    return KerasHubTokenizer(sentence_piece(**EXACT))


@pytest.mark.parametrize("kind", [*MAKERS, "exact"])
def test_text_and_its_continuation_are_the_whole(made, exact, kind):
    tokenizer = exact if kind == "exact" else made[kind][1]
    ids = tokenizer.tokenize("the cat sat on the mat")
    for cut in range(len(ids) + 1):
        before = tokenizer.detokenize(ids[:cut])[tf.newaxis]
        more = tokenizer.continuation(ids[tf.newaxis, cut:], before)
        assert (before + more).numpy() == [b"the cat sat on the mat"]
    ragged = tf.RaggedTensor.from_tensor(ids[tf.newaxis])
    [whole] = tokenizer.continuation(ragged, tf.constant([""])).numpy()
    assert whole == b"the cat sat on the mat"


def test_no_space_is_doubled_behind_a_prompt_that_ends_in_one(made, exact):
    follows = tf.constant(["the ", "the\n", "the", ""])
    for kind in ("word_piece", "sentence_piece"):
        tokenizer = made[kind][1]
        ids = tokenizer.tokenize(tf.constant(["cat"] * 4))
        found = tokenizer.continuation(ids, follows).numpy().tolist()
        assert found == [b"cat", b"cat", b" cat", b"cat"]
    # What keeps spaces means two by two.
    ids = exact.tokenize(tf.constant(["cat"] * 4))
    assert exact.continuation(ids, follows).numpy().tolist() == [
        *[b" cat"] * 3,
        b"cat",
    ]


def test_unknown_bytes_of_words(made):
    tokenizer = made["word_piece"][1]
    for text, lost in [
        ("the cat", 0),
        ("the☃cat", 9),  # one word with a snowman in it
        ("the ☃ cat", 3),
        ("[☃]", 3),
        ("THE", 3),
        ("本日", 3),  # each of them is a word
        ("the\u00a0cat", 8),  # no white space to KerasHub
        ("; the", 1),
    ]:
        assert tokenizer.unknown_bytes(text).numpy() == lost, text


def test_unknown_bytes_of_folded_words():
    folding = {"lowercase": True, "strip_accents": True}
    tokenizer = KerasHubTokenizer(word_piece(**folding))
    assert tokenizer.tokenize("ThE CÁT").numpy().tolist() == [4, 5]
    assert tokenizer.unknown_bytes("ThE CÁT").numpy() == 0
    assert tokenizer.unknown_bytes("ThE Ñ☃ CÁT").numpy() == 4


def test_unknown_bytes_of_sentence_pieces(made):
    original, tokenizer = made["sentence_piece"]
    model = sentencepiece.SentencePieceProcessor(model_proto=original.proto)
    for text in [*TEXTS, "☃☃ the ☃", "QQ the"]:
        # An unknown piece is its own text here.
        pieces = model.encode(text, out_type=str)
        lost = [p for p in pieces if model.piece_to_id(p) == model.unk_id()]
        expected = len("".join(lost).encode())
        assert tokenizer.unknown_bytes(text).numpy() == expected, text


def test_unknown_bytes_of_byte_pairs():
    vocabulary = {"a": 0, "Ġ": 1, "b": 2, "ab": 3}
    tokenizer = KerasHubTokenizer(
        hub.BytePairTokenizer(vocabulary=vocabulary, merges=["a b"])
    )
    texts = tf.constant(["ab ba", "abc é", b"\xff a"])
    assert tokenizer.tokenize(texts).to_list() == [
        [7, 5, 6, 4],
        [7, 1, 5, 1, 1],
        [1, 5, 4],
    ]
    assert tokenizer.unknown_bytes(texts).numpy().tolist() == [0, 3, 1]


@pytest.mark.parametrize(
    "original",
    [
        lambda: word_piece(
            special_tokens=NAMES, special_tokens_in_strings=True
        ),
        lambda: byte_pair(hub.GPT2Tokenizer),
        lambda: hub.BertTokenizer([*PIECES, "[CLS]", "[SEP]"]),
        lambda: sentence_piece(pad_id=3),
        lambda: hub.LlamaTokenizer(sentence_piece().proto, add_bos=True),
    ],
)
def test_names_of_special_tokens_are_ordinary_text(original):
    tokenizer = KerasHubTokenizer(original())
    names = [*NAMES, "<s>", "</s>", "<|endoftext|>", "<pad>", "[CLS]", "[MASK]"]
    for ids in tokenizer.tokenize(tf.constant(names)).to_list():
        assert len(ids) >= 2
        assert not {0, 2, 3} & set(ids)
    surfaces = tokenizer.detokenize(
        tf.range(4, tokenizer.vocabulary_size)[:, tf.newaxis]
    )
    assert not {name.encode() for name in names} & set(surfaces.numpy())


@pytest.mark.parametrize(
    ("kind", "original"),
    [
        ("word_piece", lambda: word_piece(sequence_length=3)),
        ("byte_pair", lambda: byte_pair(sequence_length=3)),
        (
            "bytes",
            lambda: hub.ByteTokenizer(lowercase=False, sequence_length=3),
        ),
        (
            "sentence_piece",
            lambda: hub.SentencePieceTokenizer(
                sentence_piece().proto,
                sequence_length=3,
                add_bos=True,
                add_eos=True,
            ),
        ),
    ],
)
def test_nothing_is_padded_cut_or_added(made, kind, original):
    plain, changed = made[kind][1], KerasHubTokenizer(original())
    texts = tf.constant(TEXTS)
    assert changed.tokenize(texts).to_list() == plain.tokenize(texts).to_list()
    assert changed.fingerprint() == plain.fingerprint()


def test_the_original_stays_as_it_is():
    original = word_piece(sequence_length=3)
    tokenizer = KerasHubTokenizer(original)
    assert original.sequence_length == 3
    original.set_vocabulary(["[UNK]", "z"])
    assert tokenizer.tokenize("the cat").numpy().tolist() == [4, 5]


@pytest.mark.parametrize("kind", MAKERS)
def test_saved_tokenizer_gives_the_same_ids(made, tmp_path, kind):
    tokenizer = made[kind][1]
    tokenizer.save(tmp_path)
    [path] = tmp_path.iterdir()
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert saved["kind"] == "keras_hub"
    assert saved["tokenizer"] == type(made[kind][0]).__name__
    loaded = tokenizers.load(tmp_path)
    texts = tf.constant(TEXTS)
    ids = tokenizer.tokenize(texts)
    assert loaded.tokenize(texts).to_list() == ids.to_list()
    assert loaded.detokenize(ids).numpy().tolist() == (
        tokenizer.detokenize(ids).numpy().tolist()
    )
    assert loaded.get_config() == tokenizer.get_config()
    assert loaded.fingerprint() == tokenizer.fingerprint()


def test_fingerprint_tells_apart_what_gives_other_ids(made):
    different = [
        made["word_piece"][1],
        made["bytes"][1],
        *(
            KerasHubTokenizer(original)
            for original in (
                word_piece(lowercase=True),
                word_piece(split_on_cjk=False),
                hub.WordPieceTokenizer(vocabulary=PIECES[::-1]),
                hub.ByteTokenizer(),
            )
        ),
    ]
    prints = [tokenizer.fingerprint() for tokenizer in different]
    assert len(set(prints)) == len(prints)
    # Neither a layer's name nor the process counts.
    again = KerasHubTokenizer(word_piece(name="another"))
    assert again.fingerprint() == prints[0]


def test_what_kerashubs_configuration_forgets_is_kept(tmp_path):
    KerasHubTokenizer(word_piece(split_on_cjk=False)).save(tmp_path)
    assert tokenizers.load(tmp_path).tokenize("日日").numpy().tolist() == [1]
    KerasHubTokenizer(word_piece()).save(tmp_path)
    assert len(tokenizers.load(tmp_path).tokenize("日日")) == 2


def saved_config(tokenizer, directory):
    tokenizer.save(directory)
    path = directory / "tokenizer.json"
    return path, json.loads(path.read_text(encoding="utf-8"))


def test_only_kerashubs_tokenizers_are_restored(made, tmp_path):
    path, saved = saved_config(made["word_piece"][1], tmp_path)
    for name in ("WordPiceTokenizer", "os", "compute_word_piece_vocabulary"):
        path.write_text(json.dumps({**saved, "tokenizer": name}))
        with pytest.raises(
            ValueError, match=f"unknown KerasHub tokenizer '{name}'"
        ):
            tokenizers.load(tmp_path)
    path.write_text(json.dumps({**saved, "tokenizer": "WordPiceTokenizer"}))
    with pytest.raises(ValueError, match="did you mean 'WordPieceTokenizer'"):
        tokenizers.load(tmp_path)


def test_a_saved_tokenizer_names_no_file_to_read_or_write(made, tmp_path):
    path, saved = saved_config(made["word_piece"][1], tmp_path)
    # Were it opened, it would be missed.
    saved["options"]["vocabulary"] = str(tmp_path / "vocabulary.txt")
    saved["assets"]["../../written.txt"] = {"text": "out"}
    saved["assets"][str(tmp_path / "written.txt")] = {"text": "out"}
    path.write_text(json.dumps(saved))
    loaded = tokenizers.load(tmp_path)
    assert loaded.vocabulary_size == made["word_piece"][1].vocabulary_size
    assert list(tmp_path.iterdir()) == [path]


class Changed(hub.WordPieceTokenizer):
    def tokenize(self, inputs):
        return super().tokenize(inputs)


@pytest.mark.parametrize(
    ("tokenizer", "error", "message"),
    [
        (lambda: "gpt2", TypeError, "must be a tokenizer of `keras_nlp.tok"),
        (
            hub.UnicodeCodepointTokenizer,
            ValueError,
            "must be one of BytePairTokenizer, .* Received: tokenizer=Unicode",
        ),
        (lambda: Changed(vocabulary=PIECES), ValueError, "tokenizer=Changed"),
        (
            lambda: hub.WordPieceTokenizer(vocabulary=PIECES, split=False),
            ValueError,
            "with split=True. Received: tokenizer.split=False",
        ),
        (
            lambda: hub.WordPieceTokenizer(vocabulary=[*PIECES, "xy\u00a0"]),
            ValueError,
            "a vocabulary that its own `save_assets` keeps",
        ),
        (
            lambda: hub.SentencePieceTokenizer(proto=None),
            ValueError,
            "No vocabulary has been set",
        ),
    ],
)
def test_what_cannot_be_used_is_said(tokenizer, error, message):
    with pytest.raises(error, match=message) as raised:
        KerasHubTokenizer(tokenizer())
    assert "\n" not in str(raised.value)


def stored(tokenizer, folder):
    """The corpus as ids, every one of them known to a model."""
    piece = {"text": CORPUS * 30, "starts": True, "ends": True}
    text = tf.data.Dataset.from_tensors(piece)
    store = pipelines.prepare(text, tokenizer, folder)
    assert store.counts.tokens == 1 + len(tokenizer.tokenize(CORPUS * 30))
    assert store.counts.unknown_bytes == int(
        tokenizer.unknown_bytes(CORPUS * 30)
    )
    assert set(np.unique(store.targets)) < set(range(tokenizer.vocabulary_size))
    return store


def model_of(tokenizer):
    """A small model, its weights drawn."""
    keras.utils.set_random_seed(1)
    return models.GRU(
        vocabulary_size=tokenizer.vocabulary_size, embedding_dim=16, units=48
    )


def losses_of(model, store):
    """Trains a model; its losses by epoch."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    windows = pipelines.Windows(store, 16, 8, seed=0).dataset()
    history = model.fit(
        windows, steps_per_epoch=40, epochs=4, verbose=0, shuffle=False
    )
    return history.history["loss"]


USE = """
import json, sys
import tensorflow as tf
folder, *prompts = sys.argv[1:]
def texts(name):
    loaded = tf.saved_model.load(f"{folder}/{name}/1")
    out = loaded.signatures["serving_default"](prompt=tf.constant(prompts))
    return [text.decode() for text in out["text"].numpy()]
said = {"bytes": texts("bytes")}
try:
    texts("word_piece")
except Exception as error:
    said["error"] = str(error)
import tensorflow_text
said |= {name: texts(name) for name in ("word_piece", "sentence_piece")}
assert "tflm" not in sys.modules and "keras_hub" not in sys.modules
print(json.dumps(said))
"""


def test_models_train_on_it_and_their_exports_need_tf_text(made, tmp_path):
    prompts = ["the cat", ""]
    texts = {}
    greedy = generation.GenerationSettings(temperature=0.0, max_new_tokens=20)
    for kind in ("bytes", "word_piece", "sentence_piece"):
        tokenizer = made[kind][1]
        store = stored(tokenizer, tmp_path / "stores")
        model = model_of(tokenizer)
        if kind == "sentence_piece":  # of the others the ids are ids as well
            losses = losses_of(model, store)
            assert losses[-1] < 0.5 * losses[0]
        generator = generation.TextGenerator(model, tokenizer, greedy)
        generated = generator.generate(prompts)["text"].numpy()
        texts[kind] = [text.decode() for text in generated]
        generation.export(model, tokenizer, tmp_path / kind, greedy)
    learnt = " ".join([CORPUS.strip()] * 3)
    assert texts["sentence_piece"][0].strip() in learnt
    done = subprocess.run(
        [sys.executable, "-c", USE, tmp_path, *prompts],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    said = json.loads(done.stdout)
    assert "not registered" in said.pop("error")
    assert said == texts


def test_byte_pairs_work_where_they_are_exported(made, tmp_path):
    tokenizer = made["byte_pair"][1]
    module = tf.Module()
    module.tokenizer = tokenizer
    module.ids = tf.function(
        tokenizer.tokenize,
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, tmp_path)
    loaded = tf.saved_model.load(tmp_path)
    texts = tf.constant([*TEXTS, "words never seen before"])
    assert loaded.ids(texts).to_list() == tokenizer.tokenize(texts).to_list()
    assert np.array(loaded.ids(texts).to_list()[0]).min() > 3
