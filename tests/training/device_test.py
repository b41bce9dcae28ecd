import types

import pytest
import tensorflow as tf

from tflm.training import device


def fake_gpu(monkeypatch, *gpus):
    config = tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(
        config.experimental, "get_device_details", lambda gpu: gpu
    )


def fake_cpu(monkeypatch, description):
    def read_text(errors):
        if description is None:
            raise FileNotFoundError
        return description

    path = types.SimpleNamespace(read_text=read_text)
    monkeypatch.setattr(device, "Path", {"/proc/cpuinfo": path}.get)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_asked_for_is_taken(precision):
    assert device.resolve(precision) == precision


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("flags : fpu amx_bf16 avx", "bfloat16"),
        ("flags : fpu avx512_bf16", "bfloat16"),
        ("flags : fpu avx512f avx512_bf16x amx_int8", "float32"),
        (None, "float32"),  # there is no such file outside Linux
    ],
)
def test_auto_on_a_cpu_asks_for_its_instructions(
    monkeypatch, description, expected
):
    fake_gpu(monkeypatch)
    fake_cpu(monkeypatch, description)
    assert device.resolve("auto") == expected


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")],
)
def test_auto_on_a_gpu_asks_for_its_generation(
    monkeypatch, capability, expected
):
    fake_cpu(monkeypatch, "amx_bf16")
    fake_gpu(monkeypatch, {"compute_capability": capability})
    assert device.resolve("auto") == expected


def test_dtype_policy_keeps_weights_in_float32():
    assert device.dtype_policy("float32") == "float32"
    assert device.dtype_policy("bfloat16") == "mixed_bfloat16"


def test_describe_names_the_device(monkeypatch):
    fake_gpu(monkeypatch)
    monkeypatch.setattr(device.os, "cpu_count", lambda: 7)
    assert device.describe() == "CPU, 7 threads"
    fake_gpu(monkeypatch, {"device_name": "Big"}, {"device_name": "Big"})
    assert device.describe() == "2 x Big"
