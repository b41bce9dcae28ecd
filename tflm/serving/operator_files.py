"""What an operator needs beside a model: configuration, requests, a client."""

import json
from pathlib import Path

from tflm import writing
from tflm.generation_settings import GenerationSettings

FOLDER = "serving"

_MODELS = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
}}
"""

# A row of a batch is a text of its own; rows wait for each other's last token.
_BATCHING = """\
max_batch_size { value: 64 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 2 }
"""

_COMPOSE = """\
services:
  {name}:
    image: tensorflow/serving:latest
    ports: ["8500:8500", "8501:8501"]
    volumes:
      - ..:/models/{name}:ro
      - .:/config:ro
    command:
      - --model_config_file=/config/models.config
      - --enable_batching=true
      - --batching_parameters_file=/config/batching.config
"""

_CURL = """\
#!/bin/sh
# One row, with every input of the signature, as the server asks for.
curl -s -d '{rows}' http://localhost:8501/v1/models/{name}:predict
# Columns: two prompts with settings of their own.
curl -s -d '{columns}' http://localhost:8501/v1/models/{name}:predict
# How likely texts are.
curl -s -d '{scores}' http://localhost:8501/v1/models/{name}:predict
"""

_CLIENT = '''\
"""Asks TensorFlow Serving for texts: python client.py PROMPT...

It needs `pip install tensorflow-serving-api`.
"""

import sys

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

SERVER = "localhost:8500"
SETTINGS = {settings}
TYPES = {{"temperature": tf.float32, "top_p": tf.float32}}


def request_for(prompts):
    """The request: prompts and settings, one value a row."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "{name}"
    request.model_spec.signature_name = "generate"
    for name, value in SETTINGS.items():
        rows = [value] * len(prompts)
        tensor = tf.make_tensor_proto(rows, TYPES.get(name, tf.int32))
        request.inputs[name].CopyFrom(tensor)
    request.inputs["prompt"].CopyFrom(tf.make_tensor_proto(prompts, tf.string))
    return request


def main():
    """Prints the text of each prompt."""
    with grpc.insecure_channel(SERVER) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = service.Predict(request_for(sys.argv[1:] or [""]), 60.0)
    for text in tf.make_ndarray(response.outputs["text"]):
        print(text.decode())


if __name__ == "__main__":
    main()
'''


def write_operator_files(
    directory: Path, name: str, settings: GenerationSettings
) -> Path:
    """Writes them beside the versions of a model.

    Args:
        directory: The folder of the versions.
        name: The model's name in the server.
        settings: Those of the newest export.

    Returns:
        The folder `serving` with `models.config`, `batching.config`,
        `compose.yaml`, `requests.sh` and `client.py`.
    """
    folder = directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    call = settings.call
    row = {"prompt": "", **call}
    two = {name_: [value] * 2 for name_, value in call.items()}
    bodies = {
        "rows": {"signature_name": "generate", "instances": [row]},
        "columns": {
            "signature_name": "generate",
            "inputs": {"prompt": ["", "a"], **two},
        },
        "scores": {"signature_name": "score", "instances": [{"text": "a"}]},
    }
    texts = {
        "models.config": _MODELS.format(name=name),
        "batching.config": _BATCHING,
        "compose.yaml": _COMPOSE.format(name=name),
        "requests.sh": _CURL.format(
            name=name, **{n: json.dumps(body) for n, body in bodies.items()}
        ),
        "client.py": _CLIENT.format(name=name, settings=repr(call)),
    }
    for file, text in texts.items():
        writing.write_text(folder / file, text)
    return folder
