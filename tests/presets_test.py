"""Presets: good settings, one command each, and what they gave."""

import re
import subprocess
import sys

import pytest

from tflm import config, presets


@pytest.mark.parametrize("name", presets.PRESETS)
def test_settings_are_settings_with_other_names_and_values(name):
    settings = presets.settings_of(name)
    flat = {}
    for group in config.from_flat(settings).to_dict().values():
        flat.update(group)
    assert {key: flat[key] for key in settings} == settings
    assert settings["max_minutes"] > 0
    # Changing what was handed out changes no preset.
    settings.clear()
    assert presets.settings_of(name)


def test_the_default_is_a_preset():
    minutes = config.DEFAULT_MINUTES
    assert config.from_flat({"max_minutes": minutes}) == config.from_flat(
        presets.settings_of("char-gru")
    )


def test_unknown_name_gets_the_closest():
    with pytest.raises(ValueError, match="'char-gpu': did you mean 'char-gru'"):
        presets.settings_of("char-gpu")
    assert presets.settings_of(None) == {}


def test_every_preset_is_listed_with_what_it_gave():
    ended = subprocess.run(
        [sys.executable, "-m", "tflm.presets"], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    listed = re.split(r"\n\n(?=[a-z0-9-]+: )", ended.stdout.strip())[1:]
    assert [block.split(":")[0] for block in listed] == list(presets.PRESETS)
    for name, block in zip(presets.PRESETS, listed, strict=True):
        assert f"python -m tflm.train --preset {name}\n" in block
        minutes, score, sample = re.search(
            r"run on .*?(\d+) minutes.*\n  score +(\S.*)\n  sample\n((?s:.+))",
            block,
        ).groups()
        assert int(minutes) >= 3
        assert re.search(r"\d+\.\d+", score)
        assert len(sample.split()) > 10
