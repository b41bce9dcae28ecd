import types

import pytest

from tflm import processor


@pytest.fixture(autouse=True)
def forgotten():
    """No test knows what another has read, nor do those behind these."""
    processor._features.cache_clear()
    yield
    processor._features.cache_clear()


def listing(monkeypatch, description):
    def read_text(errors):
        if description is None:
            raise FileNotFoundError
        return description

    path = types.SimpleNamespace(read_text=read_text)
    monkeypatch.setattr(processor, "Path", {"/proc/cpuinfo": path}.get)


def test_features_are_whole_words_of_what_linux_tells(monkeypatch):
    listing(monkeypatch, "flags\t: fpu avx512f amx_bf16\nbugs : x\n")
    assert processor.has("amx_bf16") and processor.has("avx512f")
    assert not processor.has("avx512") and not processor.has("avx512_bf16")


def test_nothing_is_known_outside_of_linux(monkeypatch):
    listing(monkeypatch, None)
    assert not processor.has("fpu")
