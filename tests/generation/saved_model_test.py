import numpy as np
import pytest
import tensorflow as tf

from tests.generation.conftest import EXPORT_SETTINGS, PROMPTS, texts
from tflm import generation


@pytest.fixture(scope="module")
def saved(path):
    return generation.SavedModel(path.parent)


def test_texts_and_scores_are_those_of_the_model(saved, model, tokenizer):
    generator = generation.TextGenerator(model, tokenizer, EXPORT_SETTINGS)
    generated = generator.generate(PROMPTS)["text"]
    assert saved.generate(PROMPTS, EXPORT_SETTINGS) == texts(generated)
    scorer = generation.TextScorer(model, tokenizer)
    scores = scorer.score(PROMPTS)
    for name, values in saved.score(PROMPTS).items():
        np.testing.assert_allclose(values, scores[name], rtol=1e-6)
    unknown = scorer.unknown_bytes(PROMPTS)
    np.testing.assert_array_equal(saved.unknown_bytes(PROMPTS), unknown)
    assert saved.score([])["log_prob"].shape == (0,)


def test_newest_version_is_taken(tmp_path):
    for version in (9, 10, 11):
        tf.saved_model.save(tf.Module(), tmp_path / "m" / str(version))
    (tmp_path / "m" / "11" / "saved_model.pb").unlink()
    (tmp_path / "m" / "notes").mkdir()
    assert generation.is_saved_model(tmp_path / "m")
    newest = generation.SavedModel(tmp_path / "m")
    assert newest.path == tmp_path / "m" / "10"
    assert generation.SavedModel(tmp_path / "m" / "9").path.name == "9"
    message = "`model` must be a SavedModel with the signature `score`: .*10"
    with pytest.raises(ValueError, match=message):
        newest.score(["a"])


def test_folder_without_one_is_refused(tmp_path):
    assert not generation.is_saved_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="`directory` must hold a Sav"):
        generation.SavedModel(tmp_path)
