import pytest

from tests.runs import make_run
from tests.training.conftest import write_text
from tflm import config, training
from tflm.training import comparison, scores
from tflm.training.comparison import ComparedText, compare

LOG = [
    {"step": 1, "tokens_per_second": 100.0, "seconds": 30.0},
    {"step": 2, "tokens_per_second": 900.0, "seconds": 60.0},
    {"step": 3, "tokens_per_second": 200.0, "seconds": 90.0},
    {"step": 3, "val_loss": 1.0},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    text = write_text(folder / "words.txt")
    cache = {"cache_dir": str(folder / "cache")}
    make_run(folder / "one", text, log=LOG, **cache)
    make_run(folder / "two", text, seed=1, model="lstm", **cache)
    make_run(folder / "bytes", text, tokenizer="bytes", **cache)
    make_run(folder / "lower", text, lowercase=True, **cache)
    other = write_text(folder / "other.txt", seed=5)
    make_run(folder / "other", other, **cache)
    return folder


def text_of(folder, **options):
    first = training.RunDirectory.open(folder / "one").config
    return ComparedText(first, **options)


def files(folder, name):
    own = {"validation_fraction": 0.0, "test_fraction": 0.0}
    settings = {
        "train_file": str(folder / name),
        "cache_dir": str(folder / "cache"),
        **own,
    }
    return ComparedText(
        config.from_flat(settings), "train", text_of(folder).config
    )


@pytest.fixture(scope="module")
def compared(folder):
    names = ["one", "bytes", "two"]
    return compare([folder / name for name in names], text_of(folder))


def test_rows_have_the_scores_of_evaluate(folder, compared):
    rows = {row.name: row for row in compared.rows}
    for name in ("one", "bytes", "two"):
        trained = training.load(folder / name)
        text = scores.text_of(trained, {})
        figures = scores.evaluate(trained, text, ["test"])["test"]
        row = rows[str(folder / name)]
        assert row.bits_per_byte == figures["bits_per_byte"]
        assert row.word_perplexity == figures["word_perplexity"]
        assert row.tokens == trained.tokenizer.kind
        assert row.parameters == trained.model.count_params()
        if name != "two":  # which has the tokens of the first
            baseline = f"Kneser-Ney 5-gram, tokens as in {folder / name}"
            bits = figures["kneser_ney_bits_per_byte"]
            assert rows.pop(baseline).bits_per_byte == bits
            assert rows["xz"].bits_per_byte == figures["xz_bits_per_byte"]
    assert len(rows) == 4


def test_best_is_first(compared):
    bits = [row.bits_per_byte for row in compared.rows]
    assert bits == sorted(bits)
    assert len(bits) == len(set(bits)) == 6


def test_title_names_the_text(compared):
    assert compared.title.startswith("words.txt, test: ")
    assert compared.title.endswith("history carried, documents separate")


def test_training_is_what_the_log_says(folder, compared):
    rows = {row.name: row for row in compared.rows}
    one, two = rows[str(folder / "one")], rows[str(folder / "two")]
    assert (one.training_tokens_per_second, one.training_minutes) == (200, 1.5)
    assert two.training_tokens_per_second is two.training_minutes is None


def test_split_and_baselines_are_a_choice(folder):
    found = compare(
        [folder / "one"],
        text_of(folder, split="validation"),
        with_baselines=False,
    )
    [row] = found.rows
    assert found.title.startswith("words.txt, validation: ")
    with pytest.raises(ValueError, match="unknown split 'tset': did you mean"):
        compare([folder / "one"], text_of(folder, split="tset"))


def test_runs_are_named(folder):
    with pytest.raises(ValueError, match="`paths` must name a run"):
        compare([], text_of(folder))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("other", "other was trained on a text that the scored one is not"),
        ("lower", "lower reads the text in lower case, which is easier"),
    ],
)
def test_flattering_scores_are_warned_of(folder, name, said):
    with pytest.warns(UserWarning, match=said) as found:
        compare([folder / name], text_of(folder), with_baselines=False)
    assert len(found) == 1


def test_split_that_was_trained_on_is_warned_of(folder):
    text = text_of(folder, split="train")
    with pytest.warns(UserWarning, match="one was trained on a text"):
        compare([folder / "one"], text, with_baselines=False)


def test_held_out_text_may_come_with_another_training_text(folder):
    """Whoever held the very text out has not seen it."""
    held = {"test_fraction": 0.0, "validation_fraction": 0.05}
    cache = str(folder / "cache")
    text = folder / "words.txt"
    make_run(folder / "shorter", text, cache_dir=cache, **held)
    split = training.RunDirectory.open(folder / "shorter")
    [last] = [v for s, v in split.fingerprint["splits"].items() if s != "train"]
    tested = training.RunDirectory.open(folder / "one").fingerprint["splits"]
    assert last["text_hash"] == tested["test"]["text_hash"]
    # The same last part, held out as validation of a longer training text.
    compare([folder / "shorter"], text_of(folder), with_baselines=False)


def test_files_are_scored_whole_and_baselines_are_the_runs(folder):
    (folder / "new.txt").write_text("the cat saw a rat.\n" * 3)
    found = compare([folder / "one"], files(folder, "new.txt"))
    names = [row.name for row in found.rows]
    assert sorted(names) == sorted(
        ["xz", str(folder / "one"), f"{comparison_row(folder)}"]
    )
    assert "57 bytes" in found.title
    trained = training.load(folder / "one")
    figures = scores.evaluate_files(trained, files(folder, "new.txt").config)
    bits = {row.name: row.bits_per_byte for row in found.rows}
    assert bits["xz"] == figures["xz_bits_per_byte"]
    assert bits[str(folder / "one")] == figures["bits_per_byte"]


def comparison_row(folder):
    order = comparison.ORDER
    return f"Kneser-Ney {order}-gram, tokens as in {folder / 'one'}"


def test_files_of_the_training_are_warned_of(folder):
    with pytest.warns(UserWarning, match="one was trained on a text"):
        compare(
            [folder / "one"], files(folder, "words.txt"), with_baselines=False
        )
