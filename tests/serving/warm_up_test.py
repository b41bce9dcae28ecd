import dataclasses

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tests.serving.conftest import SETTINGS
from tflm import serving
from tflm.serving import warm_up


def test_records_are_requests_that_the_export_answers(made, tmp_path):
    loaded = tf.saved_model.load(made("characters").path)
    file = tmp_path / warm_up.WARM_UP_FILE
    file.parent.mkdir()
    settings = dataclasses.replace(SETTINGS, max_new_tokens_limit=7)
    serving.write_warm_up(tmp_path, "tale", settings)
    answered = []
    for record in tf.data.TFRecordDataset(str(file)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "tale"
        name = request.model_spec.signature_name
        inputs = {
            name: tf.constant(tf.make_ndarray(tensor))
            for name, tensor in request.inputs.items()
        }
        assert all(tensor.shape == [1] for tensor in inputs.values())
        assert inputs.get("max_new_tokens", [0])[0] <= 7
        answered.append(name)
        assert loaded.signatures[name](**inputs)
    assert answered == [
        "generate",
        "score",
        "next_token_probabilities",
        "beam_search",
    ]
