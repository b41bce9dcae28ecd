import math

import pytest

from tests.runs import make_run
from tests.training.conftest import write_text
from tflm import config, models, training
from tflm.evaluation import Baselines
from tflm.scoring_settings import ScoringSettings
from tflm.training import scores


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    write_text(folder / "words.txt")
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    path = folder / "runs" / "words"
    make_run(path, folder / "words.txt", cache_dir=str(folder / "cache"))
    return training.load(path)


@pytest.fixture(scope="module")
def text(trained):
    return scores.text_of(trained, {})


@pytest.fixture(scope="module")
def figures(trained, text):
    return scores.evaluate(trained, text, ["test"])["test"]


def files(folder, name):
    return config.from_flat(
        {
            "train_file": str(folder / name),
            "cache_dir": str(folder / "cache"),
            "validation_fraction": 0.0,
            "test_fraction": 0.0,
        }
    )


def test_figures_say_what_was_scored_and_how(figures, text):
    assert (figures["dataset"], figures["split"]) == ("words.txt", "test")
    assert figures["history"] == "carried"
    assert figures["documents"] == "separate"
    assert "window" not in figures
    [piece] = text.text.splits["test"].as_numpy_iterator()
    raw = piece["text"]
    # Three paragraph ends, and END; words as anyone would count them.
    assert figures["words"] == len(raw.split()) + raw.count(b"\n") + 1
    assert figures["word_perplexity"] == pytest.approx(
        math.exp(
            figures["nats_per_token"] * figures["tokens"] / figures["words"]
        )
    )


def test_baselines_stand_beside_the_model(figures, trained, text):
    beside = Baselines(
        text.text.splits["train"], text.stores["train"], trained.tokenizer
    )
    expected = beside.figures(text.text.splits["test"], text.stores["test"])
    assert len(expected) == 2
    assert expected.items() <= figures.items()
    # Five letters tell these sentences far better than a network at random.
    assert figures["kneser_ney_bits_per_byte"] < figures["bits_per_byte"] / 2


def test_baselines_can_be_left_out(figures, trained, text):
    bare = scores.evaluate(trained, text, ["test"], with_baselines=False)
    names = {"xz_bits_per_byte", "kneser_ney_bits_per_byte"}
    assert set(figures) - set(bare["test"]) == names
    assert bare["test"].items() <= figures.items()


def test_training_text_has_no_baselines(figures, trained, text):
    for splits in (["train"], ["train", "test"]):
        found = scores.evaluate(trained, text, splits)
        assert "split" in found["train"]
        names = " ".join(found["train"])
        assert "xz" not in names
        assert "kneser" not in names
    assert found["test"] == figures


@pytest.mark.parametrize(("kind", "window"), [("gru", 16), ("gpt", 5)])
def test_windows_are_those_of_the_model(trained, kind, window):
    settings = config.ModelConfig(
        model=kind, units=8, embedding_dim=8, num_layers=1, context=5
    )
    size = trained.tokenizer.vocabulary_size
    model = models.build(settings, size)
    loaded = training.TrainedModel(
        model, trained.tokenizer, trained.config, True, "name"
    )
    none = ScoringSettings(history="none")
    assert scores.evaluator(loaded, none).settings.window == window


def test_files_have_the_baselines_of_the_training_text(
    trained, text, folder, tmp_path
):
    (folder / "new.txt").write_text("the cat saw a rat.\n")
    found = scores.evaluate_files(trained, files(folder, "new.txt"))
    # The same text with the 5-gram model of the file itself.
    own = scores.evaluate_files(
        trained, files(folder, "new.txt"), with_baselines=False
    )
    assert own.items() <= found.items()
    assert 0 < found["kneser_ney_bits_per_byte"] < 3
    assert found["words"] == 5 + 1 + 1


def test_files_are_scored_where_the_training_text_is_gone(folder):
    gone = write_text(folder / "gone.txt", sentences=40)
    path = folder / "runs" / "gone"
    make_run(path, gone, cache_dir=str(folder / "cache"))
    gone.unlink()
    (folder / "new.txt").write_text("the cat saw a rat.\n")
    said = "baselines are left out: the text that the model was trained on"
    with pytest.warns(UserWarning, match=said):
        found = scores.evaluate_files(
            training.load(path), files(folder, "new.txt")
        )
    assert "xz_bits_per_byte" not in found
    assert found["bytes"] == 19
