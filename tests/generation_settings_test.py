import dataclasses
import json
import math

import pytest

from tflm.generation_settings import GenerationSettings


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("max_new_tokens", -1, "from 0 to 2147483647"),
        ("max_new_tokens", 2**31, "from 0 to 2147483647"),
        ("temperature", -0.1, "finite and at least 0"),
        ("temperature", math.inf, "finite and at least 0"),
        ("temperature", math.nan, "finite and at least 0"),
        ("top_k", -1, "from 0 (off)"),
        ("top_p", 0.0, "above 0 and at most 1"),
        ("top_p", 1.1, "above 0 and at most 1"),
        ("seed", -2, "from -1 (a fresh one)"),
        ("seed", 2**31, "from -1 (a fresh one)"),
        ("min_p", -0.1, "from 0 (off) to 1"),
        ("min_p", math.nan, "from 0 (off) to 1"),
        ("repetition_penalty", 0.9, "finite and at least 1 (off)"),
        ("repetition_penalty", math.inf, "finite and at least 1 (off)"),
        ("no_repeat_ngram", -1, "from 0 (off) to 100"),
        ("stop", ("a", ""), "strings that are not empty"),
        ("banned_tokens", ("",), "strings that are not empty"),
        ("max_new_tokens_limit", -1, "from 0 to 2147483647"),
        ("prompt_bytes_limit", -1, "from 0 to 2147483647"),
    ],
)
def test_broken_rule_is_refused(name, value, rule):
    with pytest.raises(ValueError) as error:
        GenerationSettings(**{name: value})
    assert str(error.value).startswith(f"`{name}` must be {rule}")
    assert str(error.value).endswith(f"Received: {name}={value}")


def test_wrong_type_is_refused():
    with pytest.raises(TypeError, match="`top_k` must be int.*top_k=0.5"):
        GenerationSettings(top_k=0.5)


def test_round_trip_through_json():
    settings = GenerationSettings(7, 0.25, 40, 0.9, 2**31 - 1)
    settings = dataclasses.replace(settings, stop=("a", "b"), min_p=0.5)
    values = json.loads(json.dumps(settings.to_dict()))
    assert GenerationSettings.from_dict(values) == settings
    assert values["temperature"] == 0.25
    assert settings != GenerationSettings()


def test_unknown_setting_is_refused():
    with pytest.raises(ValueError, match="did you mean 'temperature'"):
        GenerationSettings.from_dict({"temprature": 1.0})


def test_usual_length_is_within_the_limit():
    with pytest.raises(ValueError, match="at most `max_new_tokens_limit`"):
        GenerationSettings(max_new_tokens=9, max_new_tokens_limit=8)


def test_settings_of_a_call_are_apart():
    settings = GenerationSettings(7, 0.25, 40, 0.9, 3, min_p=0.5)
    assert settings.call == {
        "max_new_tokens": 7,
        "temperature": 0.25,
        "top_k": 40,
        "top_p": 0.9,
        "seed": 3,
    }
