"""The files say what TensorFlow Serving's protos and REST rules ask for."""

import importlib.util
import json
import re

import numpy as np
import pytest
import tensorflow as tf
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.generation.conftest import texts
from tests.serving.conftest import SETTINGS
from tflm import serving


@pytest.fixture(scope="module")
def loaded(made):
    return tf.saved_model.load(made("characters").path)


@pytest.fixture
def folder(tmp_path):
    return serving.write_operator_files(tmp_path, "tale", SETTINGS)


def test_configuration_is_that_of_the_proto(folder):
    text = (folder / "models.config").read_text()
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(text, config)
    [model] = config.model_config_list.config
    assert (model.name, model.base_path) == ("tale", "/models/tale")
    compose = yaml.safe_load((folder / "compose.yaml").read_text())
    service = compose["services"]["tale"]
    assert "..:/models/tale:ro" in service["volumes"]
    for flag in service["command"]:
        if "=/config/" in flag:
            assert (folder / flag.rpartition("/")[2]).is_file()
    batching = (folder / "batching.config").read_text()
    fields = dict(re.findall(r"^(\w+) \{ value: (\d+) \}$", batching, re.M))
    assert set(fields) == {
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
    }


def answer(loaded, body):
    """As the REST rules say: every input named, rows stacked, no others."""
    signature = loaded.signatures[body["signature_name"]]
    specs = signature.structured_input_signature[1]
    columns = body.get("inputs") or {
        name: [row[name] for row in body["instances"]]
        for name in body["instances"][0]
    }
    assert set(columns) == set(specs)
    return signature(
        **{n: tf.constant(v, specs[n].dtype) for n, v in columns.items()}
    )


def test_curl_lines_are_answered(folder, loaded):
    lines = (folder / "requests.sh").read_text().splitlines()
    asked = [
        re.fullmatch(r"curl -s -d '(.*)' http://localhost:8501(.*)", line)
        for line in lines
        if line.startswith("curl")
    ]
    assert {match[2] for match in asked} == {"/v1/models/tale:predict"}
    rows, columns, scores = (
        answer(loaded, json.loads(match[1])) for match in asked
    )
    usual = loaded.signatures["serving_default"](tf.constant([""]))
    assert texts(rows["text"]) == texts(usual["text"])
    assert columns["text"].shape == (2,)
    assert scores["num_tokens"].numpy().tolist() == [1]


def test_client_asks_what_the_export_takes(folder, loaded):
    spec = importlib.util.spec_from_file_location(
        "client", folder / "client.py"
    )
    client = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(client)
    request = client.request_for(["a", "", "b"])
    assert request.model_spec.name == "tale"
    signature = loaded.signatures[request.model_spec.signature_name]
    inputs = {
        name: tf.constant(tf.make_ndarray(tensor))
        for name, tensor in request.inputs.items()
    }
    served = signature(**inputs)
    row = {
        name: tensor if name == "prompt" else tensor[0]
        for name, tensor in inputs.items()
    }
    row["seed"] = tf.fill([3], row["seed"])
    np.testing.assert_array_equal(served["text"], signature(**row)["text"])
