"""Requests that TensorFlow Serving sends itself before it serves a model."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from tflm.generation_settings import SETTINGS, GenerationSettings

# Where TensorFlow Serving looks for them.
WARM_UP_FILE = "assets.extra/tf_serving_warmup_requests"
_TOKENS = 8


def warm_up_requests(
    name: str, settings: GenerationSettings
) -> list[dict[str, Any]]:
    """One request for each signature that answers a text.

    Args:
        name: The model's name in the server.
        settings: Those of the export.

    Returns:
        Dicts of `model`, `signature` and `inputs`, NumPy-like values by name.
    """
    tokens = settings.within_limit(_TOKENS)
    call = {**settings.call, "max_new_tokens": tokens}
    beams = {"num_beams": 2, "max_new_tokens": tokens, "length_penalty": 0.0}
    inputs = {
        "generate": {"prompt": [""], **call},
        "score": {"text": ["a"]},
        "next_token_probabilities": {"prompt": [""], "k": 1},
        "beam_search": {"prompt": [""], **beams},
    }
    return [
        {"model": name, "signature": signature, "inputs": values}
        for signature, values in inputs.items()
    ]


def predict_request(request: dict[str, Any]) -> Any:
    """A request as TensorFlow Serving's `PredictRequest`."""
    from tensorflow_serving.apis import predict_pb2

    proto = predict_pb2.PredictRequest()
    proto.model_spec.name = request["model"]
    proto.model_spec.signature_name = request["signature"]
    for name, value in request["inputs"].items():
        dtype = SETTINGS[name].dtype if name in SETTINGS else tf.string
        # With batching the server takes rows alone, no scalars.
        rows = value if isinstance(value, list) else [value]
        tensor = tf.make_tensor_proto(rows, dtype)
        proto.inputs[name].CopyFrom(tensor)
    return proto


def write_warm_up(
    export: Path, name: str, settings: GenerationSettings
) -> None:
    """Writes the requests into an export, as records of `PredictionLog`."""
    from tensorflow_serving.apis import prediction_log_pb2

    file = export / WARM_UP_FILE
    with tf.io.TFRecordWriter(str(file)) as writer:
        for request in warm_up_requests(name, settings):
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(predict_request(request))
            writer.write(log.SerializeToString())
