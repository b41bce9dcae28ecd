import os
import subprocess
import sys

import pytest
import tensorflow as tf

from tflm import config, processor
from tflm.training import device


def fake_gpu(monkeypatch, *gpus):
    config = tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(
        config.experimental, "get_device_details", lambda gpu: gpu
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_asked_for_is_taken(precision):
    assert device.resolve(precision) == precision


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ("amx_bf16", "bfloat16"),
        ("avx512_bf16", "bfloat16"),
        ("avx512f", "float32"),
    ],
)
def test_auto_on_a_cpu_asks_for_its_instructions(
    monkeypatch, feature, expected
):
    fake_gpu(monkeypatch)
    monkeypatch.setattr(processor, "has", feature.__eq__)
    assert device.resolve("auto") == expected


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")],
)
def test_auto_on_a_gpu_asks_for_its_generation(
    monkeypatch, capability, expected
):
    monkeypatch.setattr(processor, "has", lambda feature: True)
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


SMALL = {"model": "gru", "batch_size": 32, "precision": "float32"}


def row_parts(monkeypatch, cores, settings, feature="amx_bf16"):
    """On a machine of so many cores that have the feature."""
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(processor, "has", feature.__eq__)
    return device.row_parts(config.from_flat({**SMALL, **settings}))


@pytest.mark.parametrize(
    ("cores", "settings"),
    [
        (2, {}),
        (4, {}),
        (2, {"model": "gpt", "units": 2000}),
        (2, {"model": "lstm", "units": 768}),
        (2, {"precision": "bfloat16"}),
        (2, {"sequences": "contiguous"}),
        (2, {"sequences": "documents", "pad": "fixed"}),
    ],
)
def test_rows_are_shared_out_where_it_pays(monkeypatch, cores, settings):
    fake_gpu(monkeypatch)
    assert row_parts(monkeypatch, cores, settings) == cores


@pytest.mark.parametrize(
    ("cores", "settings"),
    [
        (1, {}),
        (8, {}),
        (2, {"batch_size": 33}),
        (2, {"model": "ngram"}),
        (2, {"units": 1024}),
        (2, {"sequences": "documents"}),
    ],
)
def test_rows_stay_together_where_it_does_not(monkeypatch, cores, settings):
    fake_gpu(monkeypatch)
    assert row_parts(monkeypatch, cores, settings) == 1


@pytest.mark.parametrize(
    ("feature", "precision", "units", "expected"),
    [
        ("avx512_bf16", "auto", 1024, 2),
        ("avx512_bf16", "auto", 1025, 1),
        ("avx512_bf16", "float32", 1024, 1),
        ("amx_bf16", "auto", 1024, 1),
        ("amx_bf16", "auto", 768, 2),
        ("avx512f", "auto", 1024, 1),
        ("avx512f", "bfloat16", 1024, 2),
    ],
)
def test_larger_layers_have_parts_where_bfloat16_lacks_amx(
    monkeypatch, feature, precision, units, expected
):
    fake_gpu(monkeypatch)
    settings = {"precision": precision, "units": units}
    assert row_parts(monkeypatch, 2, settings, feature) == expected


def test_rows_stay_together_on_a_gpu(monkeypatch):
    fake_gpu(monkeypatch, {"compute_capability": (7, 5)})
    assert row_parts(monkeypatch, 2, {}) == 1


@pytest.mark.parametrize(
    ("parts", "cores", "threads"),
    [(1, 1, []), (1, 2, []), (2, 2, [1]), (2, 4, []), (4, 2, [1])],
)
def test_no_core_is_left_without_rows(monkeypatch, parts, cores, threads):
    asked = []
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(
        tf.config.threading, "set_intra_op_parallelism_threads", asked.append
    )
    device.share_out_rows(parts)
    assert asked == threads


def test_threads_that_work_are_left_alone(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    before = tf.config.threading.get_intra_op_parallelism_threads()
    tf.constant(0)  # TensorFlow has computed
    device.share_out_rows(2)
    assert tf.config.threading.get_intra_op_parallelism_threads() == before


def test_cores_of_a_process_are_given_their_rows():
    code = """
import os
os.cpu_count = lambda: 2
from tflm.command_line import noise
def prepare():
    from tflm.models import part_count
    from tflm.training import device
    for parts in (1, 2):
        device.share_out_rows(parts)
        print(part_count(32), part_count(33))
noise.import_tensorflow_quietly(prepare)
from tflm.models import part_count
print(part_count(32), part_count(33))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["1", "1", "2", "1", "2", "1"]
    assert ran.stderr == ""
