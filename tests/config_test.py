import dataclasses
import json

import pytest

from tflm import config
from tflm.config import DataConfig, ModelConfig, TrainingConfig

GROUPS = dataclasses.fields(config.Config)

# A value that is not the default, for settings of each group.
CHANGED = {
    "train_file": ("a.txt", "b.txt"),
    "max_documents": 7,
    "validation_fraction": 0.25,
    "vocabulary_size": 300,
    "lowercase": True,
    "seq_len": 16,
    "model": "lstm",
    "dropout": 0.5,
    "max_minutes": 1.5,
    "seed": 11,
}


def test_names_of_settings_are_unique_over_all_groups():
    names = [
        entry.name
        for group in GROUPS
        for entry in dataclasses.fields(group.type)
    ]
    assert len(set(names)) == len(names)
    assert list(config.settings()) == names


def test_every_setting_says_what_it_means():
    assert all(
        entry.metadata["help"] for entry, _ in config.settings().values()
    )


def test_values_reach_their_group_and_the_rest_are_defaults():
    changed = config.from_flat(CHANGED)
    assert changed.data.train_file == ("a.txt", "b.txt")
    assert changed.sequences.seq_len == 16
    found = {
        name: value
        for group in changed.to_dict().values()
        for name, value in group.items()
    }
    default = {
        name: entry.default for name, (entry, _) in config.settings().items()
    }
    assert found == {**default, **CHANGED}


@pytest.mark.parametrize("values", [{}, CHANGED])
def test_settings_survive_json(values):
    settings = config.from_flat(values)
    saved = json.loads(json.dumps(settings.to_dict()))
    assert config.from_dict(saved) == settings


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig().units = 3


def test_whole_number_stands_for_a_float():
    rate = TrainingConfig(learning_rate=1).learning_rate
    assert (rate, type(rate)) == (1.0, float)


@pytest.mark.parametrize("files", ["a.txt", ["a.txt"], ("a.txt",)])
def test_one_file_or_a_list_of_them(files):
    assert DataConfig(train_file=files).train_file == ("a.txt",)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("units", 1.0, r"`units` must be int. Received: units=1.0 \(float\)"),
        ("units", True, r"`units` must be int. .*units=True \(bool\)"),
        ("units", "8", r"`units` must be int. .*units='8' \(str\)"),
        ("units", None, r"`units` must be int. .*units=None \(NoneType\)"),
        ("lowercase", 1, r"`lowercase` must be bool. .*lowercase=1 \(int\)"),
        ("dropout", "x", r"`dropout` must be float. .*dropout='x'"),
        ("epochs", 1.5, r"`epochs` must be int or NoneType. .*epochs=1.5"),
        ("dataset", 3, r"`dataset` must be str. .*dataset=3 \(int\)"),
        ("train_file", 3, r"`train_file` must be str or tuple. .*file=3 "),
        ("test_file", None, r"`test_file` must be str or tuple. .*file=None "),
    ],
)
def test_wrong_type_is_named(name, value, message):
    with pytest.raises(TypeError, match=message) as raised:
        config.from_flat({name: value})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("validation_fraction", 1.0, "in [0, 1)"),
        ("test_fraction", -0.1, "in [0, 1)"),
        ("delimiter", "", "one character"),
        ("delimiter", ";;", "one character"),
        ("max_documents", 0, "at least 1"),
        ("max_document_characters", 0, "at least 1"),
        ("vocabulary_size", 4, "at least 5"),
        ("min_count", 0, "at least 1"),
        ("seq_len", 0, "at least 1"),
        ("batch_size", 0, "at least 1"),
        ("embedding_dim", -1, "at least 0"),
        ("units", 0, "at least 1"),
        ("num_layers", 0, "at least 1"),
        ("dropout", 1.0, "in [0, 1)"),
        ("dropout", float("nan"), "in [0, 1)"),
        ("epochs", 0, "at least 1"),
        ("max_steps", 0, "at least 1"),
        ("evaluate_every", 0, "at least 1"),
        ("log_every", 0, "at least 1"),
        ("max_minutes", 0.0, "above 0"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", float("inf"), "finite"),
        ("weight_decay", float("nan"), "at least 0"),
        ("clipnorm", float("inf"), "finite"),
        ("warmup_steps", -1, "at least 0"),
        ("weight_decay", -0.5, "at least 0"),
        ("clipnorm", -1.0, "at least 0"),
        ("patience", -1, "at least 0"),
        ("seed", -1, "in [0, 2**31)"),
        ("seed", 2**31, "in [0, 2**31)"),
    ],
)
def test_value_out_of_range_is_named_with_the_rule(name, value, rule):
    with pytest.raises(ValueError) as raised:
        config.from_flat({name: value})
    expected = f"`{name}` must be {rule}. Received: {name}={value}"
    assert str(raised.value) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("validation_fraction", 0),
        ("vocabulary_size", 5),
        ("embedding_dim", 0),
        ("dropout", 0),
        ("clipnorm", 0),
        ("patience", 0),
        ("seed", 2**31 - 1),
        ("max_steps", 1),
    ],
)
def test_bounds_themselves_are_allowed(name, value):
    settings = config.from_flat({name: value}).to_dict()
    assert any(group.get(name) == value for group in settings.values())


def test_something_must_be_left_to_train_on():
    with pytest.raises(ValueError, match="sum must be under 1. Received: 1.0"):
        DataConfig(validation_fraction=0.5, test_fraction=0.5)


def test_tied_embeddings_need_an_embedding():
    with pytest.raises(ValueError, match="`tie_embeddings` needs.*_dim=0"):
        ModelConfig(tie_embeddings=True, embedding_dim=0)


def test_unknown_setting_names_the_closest():
    with pytest.raises(
        ValueError, match="^unknown setting 'unit': did you mean 'units'[?]$"
    ):
        config.from_flat({"unit": 3})


def test_unknown_choice_names_the_closest_and_all():
    with pytest.raises(
        ValueError,
        match="^unknown model 'gruu': did you mean 'gru'[?] "
        "Valid: gru, lstm, simple_rnn",
    ):
        ModelConfig(model="gruu")


def test_run_without_a_bound_gets_the_default_one():
    resolved = TrainingConfig(seed=4).resolved()
    assert resolved == TrainingConfig(
        seed=4, max_minutes=config.DEFAULT_MINUTES
    )


def test_bounds_that_are_given_take_the_place_of_all():
    settings = TrainingConfig(seed=4, max_minutes=3.0, max_steps=9)
    assert settings.bounded({}) == settings
    assert settings.bounded({"epochs": 2}) == TrainingConfig(seed=4, epochs=2)
    # Never none at all, which would have no end.
    default = TrainingConfig(seed=4).resolved()
    assert settings.bounded({"max_steps": None}) == default


@pytest.mark.parametrize("bound", config.BOUNDS)
def test_run_with_a_bound_keeps_it_alone(bound):
    settings = TrainingConfig(**{bound: 2})
    assert settings.resolved() == settings
