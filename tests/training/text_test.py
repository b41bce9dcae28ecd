import dataclasses
import os
from pathlib import Path

import pytest

from tflm import config, writing
from tflm.tokenizers import Characters
from tflm.training.text import prepare


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "text.txt"
    # What is held out has letters that the training part has not.
    path.write_text("the cat sat " * 20 + "my fox " * 5, newline="")
    return {
        "train_file": str(path),
        "cache_dir": str(tmp_path / "cache"),
        "validation_fraction": 0.125,
        "test_fraction": 0.0,
    }


def test_vocabulary_comes_from_the_training_split_alone(settings):
    text = prepare(config.from_flat(settings))
    letters = sorted(set("the cat sat "))
    assert text.tokenizer.vocabulary_size == 4 + len(letters)
    counts = {split: store.counts for split, store in text.stores.items()}
    assert counts["train"].unknown_tokens == 0
    assert counts["validation"].unknown_tokens == 5 * len("myfox")
    assert counts["train"].characters + counts["validation"].characters == 275
    assert text.held_out == ["validation"]


def test_given_tokenizer_is_used(settings):
    tokenizer = Characters("abc")
    text = prepare(config.from_flat(settings), tokenizer)
    assert text.tokenizer is tokenizer
    assert text.stores["validation"].counts.unknown_tokens == 35


def test_end_is_a_target_only_where_a_text_really_ends(settings):
    cut = prepare(config.from_flat(settings))
    assert cut.stores["train"].counts.ends == 0
    assert cut.stores["validation"].counts.ends == 1
    whole = prepare(config.from_flat({**settings, "validation_fraction": 0.0}))
    assert whole.stores["train"].counts.ends == 1


def test_split_without_a_token_is_named(settings):
    path = Path(settings["train_file"])
    path.write_text("the cat sat " * 20 + " " * 100, newline="")
    words = config.from_flat(
        {**settings, "tokenizer": "words", "test_fraction": 0.125}
    )
    with pytest.raises(
        ValueError, match="in the validation split the text mus"
    ):
        prepare(words)


def test_fingerprint_tells_texts_and_vocabularies_apart(settings):
    first = prepare(config.from_flat(settings)).fingerprint()
    assert prepare(config.from_flat(settings)).fingerprint() == first
    with Path(settings["train_file"]).open("a") as file:
        file.write("!")
    longer = prepare(config.from_flat(settings)).fingerprint()
    assert longer["splits"] != first["splits"]
    other = {**settings, "vocabulary_size": 6}
    smaller = prepare(config.from_flat(other)).fingerprint()
    assert smaller["tokenizer"] != longer["tokenizer"]


def test_prompt_is_the_first_held_out_words(settings):
    text = prepare(config.from_flat(settings))
    assert text.prompt() == "my fox my fox my fox my fox my fox"
    assert text.prompt(10) == "my fox my"
    train = {"train": text.stores["train"]}
    assert dataclasses.replace(text, stores=train).prompt(10) == "the cat"


@pytest.mark.parametrize("place", ["text.txt", "text.txt/cache"])
def test_cache_that_cannot_be_made_is_named(settings, tmp_path, place):
    unfit = {**settings, "cache_dir": str(tmp_path / place)}
    with pytest.raises(
        OSError, match=f"`cache_dir` must be .*{place} \\(.*with --cache_dir$"
    ):
        prepare(config.from_flat(unfit))


def test_cache_without_a_home_is_named(settings, monkeypatch):
    def homeless(path):
        if str(path).startswith("~"):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(OSError, match="cache_dir=~/.cache/.*home directory"):
        prepare(config.from_flat({**settings, "cache_dir": None}))


def test_stores_of_a_cache_that_cannot_be_written_to_are_read(
    settings, monkeypatch
):
    written = prepare(config.from_flat(settings))

    def refuse(*unused):
        raise PermissionError("read-only")

    # As root a folder cannot be closed to oneself.
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    monkeypatch.setattr(writing, "new_directory", refuse)
    read = prepare(config.from_flat(settings))
    assert read.fingerprint() == written.fingerprint()
