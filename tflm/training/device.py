"""What this machine computes on, and which arithmetic pays there."""

import contextlib
import os

import tensorflow as tf

from tflm import processor
from tflm.config import Config
from tflm.models.row_shares import MOST_PARTS


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
        fast = processor.has("amx_bf16") or processor.has("avx512_bf16")
    return "bfloat16" if fast else "float32"


def dtype_policy(precision: str) -> str:
    """The Keras dtype policy of a resolved precision."""
    return {"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision]


def row_parts(config: Config) -> int:
    """Parts of a batch's rows to train on, one for each core, if that pays.

    It pays on a CPU where all batches have the same rows and no recurrent
    layer has weights that fill the cache, see `models.row_shares`.

    Args:
        config: The settings of the run.

    Returns:
        The number of parts; 1 where rows are better left together.
    """
    model, sequences = config.model, config.sequences
    cores = os.cpu_count() or 1
    recurrent = model.model in ("gru", "lstm", "simple_rnn")
    most_units = _most_units(resolve(config.training.precision))
    documents = sequences.sequences == "documents"
    pays = (
        (model.model == "gpt" or recurrent and model.units <= most_units)
        and not (documents and sequences.pad != "fixed")
        and 1 < cores <= MOST_PARTS
        and sequences.batch_size % cores == 0
        and not tf.config.list_physical_devices("GPU")
    )
    return cores if pays else 1


def _most_units(precision: str) -> int:
    """Of a recurrent layer whose rows are shared out.

    With more, each core reads more weights at each position than its cache
    holds, which shows less where bfloat16 is multiplied without AMX.
    """
    without = precision == "bfloat16" and not processor.has("amx_bf16")
    return 1024 if without else 768


def share_out_rows(parts: int) -> None:
    """Gives each core a part of the rows, where there are enough of them.

    Operations have one thread each then, in this whole process: to be called
    before TensorFlow computes anything. Afterwards it does nothing, and parts
    are no faster, but what is computed is the same.

    Args:
        parts: int. See `row_parts`; those of a run that began elsewhere may be
            fewer than the cores.
    """
    if parts == 1 or parts < (os.cpu_count() or 1):
        return
    with contextlib.suppress(RuntimeError):  # TensorFlow has computed
        tf.config.threading.set_intra_op_parallelism_threads(1)
