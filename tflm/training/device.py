"""What this machine computes on, and which arithmetic pays there."""

import os
from pathlib import Path

import tensorflow as tf


def describe() -> str:
    """What the model computes on, in a few words."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return f"{len(gpus)} x {details.get('device_name', 'GPU')}"
    return f"CPU, {os.cpu_count()} threads"


def resolve(precision: str) -> str:
    """The precision that "auto" stands for here.

    bfloat16 is taken where the hardware multiplies in it: a CPU with AMX or
    AVX512-BF16, a GPU from NVIDIA's Ampere on. Weights, state, logits and
    loss are float32 either way.

    Args:
        precision: "auto", "float32" or "bfloat16".

    Returns:
        "float32" or "bfloat16".

    Example:
    >>> resolve("float32")
    'float32'
    """
    if precision != "auto":
        return precision
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        fast = details.get("compute_capability", (0, 0)) >= (8, 0)
    else:
        fast = _cpu_multiplies_bfloat16()
    return "bfloat16" if fast else "float32"


def dtype_policy(precision: str) -> str:
    """The Keras dtype policy of a resolved precision."""
    return {"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision]


def _cpu_multiplies_bfloat16() -> bool:
    try:
        description = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:  # not Linux
        return False
    flags = description.split()
    return "avx512_bf16" in flags or "amx_bf16" in flags
