import gzip

import numpy as np
import pytest

from tests.training.conftest import write_text
from tflm import config, training
from tflm.tokenizers import Characters, Words
from tflm.training import device
from tflm.training.callbacks import Samples
from tflm.training.word_vectors import read_word_vectors

TOKENIZER = Words(["\n", "cat", "mat", "rat"])  # ids 4 to 7
GLOVE = "cat 1 2 3\nthe 9 9 9\nmat -1 0.5 1e-2\ncat 7 7 7\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("glove.txt", GLOVE),
        ("word2vec.txt", "4 3\n" + GLOVE.replace("\n", " \n")),
        ("glove.txt.gz", GLOVE),
        ("spaces.txt", GLOVE + ". . . 1 2 3\nat a@b 4 5 6\n"),
    ],
)
def test_both_forms_are_read(name, text, tmp_path):
    write = gzip.open if name.endswith(".gz") else open
    with write(tmp_path / name, "wt") as file:
        file.write(text)
    vectors = read_word_vectors(tmp_path / name, TOKENIZER, seed=3)
    assert (vectors.found, vectors.missing) == (2, 3)  # the unknown, newline
    assert vectors.table.dtype == np.float32
    np.testing.assert_allclose(vectors.table[5], [1, 2, 3])
    np.testing.assert_allclose(vectors.table[6], [-1, 0.5, 0.01])
    np.testing.assert_array_equal(vectors.table[0], 0)
    assert np.all(np.any(vectors.table[1:] != 0, axis=1))
    again = read_word_vectors(tmp_path / name, TOKENIZER, seed=3)
    np.testing.assert_array_equal(again.table, vectors.table)


def test_missing_words_have_the_spread_of_those_found(tmp_path):
    random = np.random.default_rng(0)
    words = [f"w{number}" for number in range(400)]
    rows = random.normal(2, 3, (200, 20))
    lines = (
        f"{word} {' '.join(map(str, row))}\n"
        for word, row in zip(words, rows, strict=False)
    )
    (tmp_path / "v.txt").write_text("".join(lines))
    vectors = read_word_vectors(tmp_path / "v.txt", Words(["\n", *words]))
    assert (vectors.found, vectors.missing) == (200, 202)
    missing = vectors.table[-200:]
    assert missing.mean() == pytest.approx(2, abs=0.2)
    assert missing.std() == pytest.approx(3, abs=0.2)


def test_unknown_word_and_joined_forms_have_their_vectors(tmp_path):
    (tmp_path / "v.txt").write_text("<unk> 1 1\n, 2 2\n")
    tokenizer = Words(["\n", ",", " ,"], splitter="unicode")
    table = read_word_vectors(tmp_path / "v.txt", tokenizer).table
    assert table[[1, 5, 6]].tolist() == [[1, 1], [2, 2], [2, 2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat 1 2\nmat 3\n", "here 2. Received: 1 numbers .* line 2 of"),
        ("cat 1 2\nx 1 2 3\n", "here 2. Received: 3 numbers .* line 2 of"),
        ("the 1 2\ncat 1 ?\n", r"Received: '\?' on line 2 of"),
        ("the 1 2\ncat 1 nan\n", "Received: 'nan' on line 2 of"),
        (b"the 1 2\ncat 1 \xff\n", r"Received: '\\\\xff' on line 2 of"),
        ("the 1 2\ncat 1 -1e39\n", "Received: '-1e39' on line 2 of"),
        ("2 3\ncat 1 2\nmat 1 2\n", "here 3. Received: 2 .* line 2 of"),
        ("3 2\ncat 1 2\nmat 1 2\n", "have 3 words, as .* 1 .*Received: 2"),
        ("cat\n", "at least 1. Received: 0 numbers .* line 1 of"),
        ("the 1 2\n", "words of the vocabulary.*none of 5"),
        ("", "words of the vocabulary.*none of 5"),
    ],
)
def test_malformed_line_is_named(text, message, tmp_path):
    raw = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "v.txt").write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        read_word_vectors(tmp_path / "v.txt", TOKENIZER)


@pytest.mark.parametrize("change", [lambda b: b[:-9], lambda b: b"x" + b])
def test_broken_gzip_file_is_named(change, tmp_path):
    whole = gzip.compress(GLOVE.encode())
    (tmp_path / "v.gz").write_bytes(change(whole))
    with pytest.raises(ValueError, match="whole file.*Received: .*v.gz"):
        read_word_vectors(tmp_path / "v.gz", TOKENIZER)


def test_other_tokenizers_have_no_word_vectors(tmp_path):
    (tmp_path / "v.txt").write_text(GLOVE)
    with pytest.raises(ValueError, match="--tokenizer words.*'characters'"):
        read_word_vectors(tmp_path / "v.txt", Characters("ab"))


def test_wrong_settings_are_told_before_the_text_is_read(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(training.session, "prepare", None)
    characters = config.from_flat({**settings, "tokenizer": "characters"})
    with pytest.raises(ValueError, match="--tokenizer words.*'characters'"):
        training.begin(characters, tmp_path / "run")
    (tmp_path / "v.txt").unlink()
    with pytest.raises(FileNotFoundError, match="v.txt"):
        training.begin(config.from_flat(settings), tmp_path / "run")


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "v.txt").write_text("cat 1 2 3\nmat 4 5 6\nnone 7 8 9\n")
    return {
        "train_file": str(write_text(tmp_path / "words.txt")),
        "cache_dir": str(tmp_path / "cache"),
        "tokenizer": "words",
        "embeddings": str(tmp_path / "v.txt"),
        "units": 5,
        "seq_len": 8,
        "batch_size": 4,
        "max_steps": 4,
        "evaluate_every": 2,
        "precision": "float32",
    }


@pytest.mark.parametrize(("frozen", "tied"), [(False, False), (True, True)])
def test_run_begins_with_them_and_frozen_ones_stay(
    frozen, tied, settings, tmp_path, monkeypatch
):
    # Neither a sample nor the parts of the rows have to do with vectors.
    monkeypatch.setattr(Samples, "on_epoch_end", lambda *_: None)
    monkeypatch.setattr(device, "row_parts", lambda settings: 1)
    chosen = {**settings, "freeze_embeddings": frozen, "tie_embeddings": tied}
    session = training.begin(config.from_flat(chosen), tmp_path / "run")
    before = session.model.embedding.get_weights()[0]
    [cat] = session.text.tokenizer.tokenize("cat").numpy()
    assert before[cat].tolist() == [1, 2, 3]
    assert session.run.config.model.embedding_dim == 3
    size = session.text.tokenizer.vocabulary_size
    assert session.run.facts["embeddings"] == {
        "found": 2,
        "missing": size - 5,
    }
    session.train()
    after = session.model.embedding.get_weights()[0]
    assert np.array_equal(before, after) == frozen
    kept = training.load(tmp_path / "run").model.embedding.get_weights()[0]
    assert np.array_equal(kept, before) == frozen
    # What goes on needs the file no more.
    (tmp_path / "v.txt").unlink()
    resumed = training.resume(tmp_path / "run", {"max_steps": 5})
    resumed.train(resume=True)
    assert resumed.progress.step == 5
    later = resumed.model.embedding.get_weights()[0]
    assert np.array_equal(later, before) == frozen


def test_run_that_died_in_its_first_checkpoint_begins_with_them(
    settings, tmp_path
):
    begun = training.begin(config.from_flat(settings), tmp_path / "run")
    (begun.run.checkpoints / ".step_00000002.x").mkdir()
    resumed = training.resume(tmp_path / "run", {})
    for session in (begun, resumed):
        [cat] = session.text.tokenizer.tokenize("cat").numpy()
        table = session.model.embedding.get_weights()[0]
        assert table[cat].tolist() == [1, 2, 3]


def test_width_is_the_files(settings, tmp_path):
    wrong = config.from_flat({**settings, "embedding_dim": 4})
    with pytest.raises(ValueError, match="`embedding_dim` must be 3.*=4"):
        training.begin(wrong, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_models_without_an_embedding_are_refused():
    with pytest.raises(ValueError, match="model with an embedding.*ngram"):
        config.ModelConfig(model="ngram", embeddings="v.txt")
    with pytest.raises(ValueError, match="`freeze_embeddings` goes with"):
        config.ModelConfig(freeze_embeddings=True)
