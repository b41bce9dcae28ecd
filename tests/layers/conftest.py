import pytest

from tflm import processor


@pytest.fixture(autouse=True)
def amx(monkeypatch):
    """A processor with AMX, so that the same is tested on each machine."""
    monkeypatch.setattr(processor, "has", "amx_bf16".__eq__)
