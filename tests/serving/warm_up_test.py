import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tests.generation.conftest import random_model
from tflm import generation, models, serving
from tflm.generation import GenerationSettings
from tflm.tokenizers import Characters


def test_records_are_requests_that_the_export_answers(tmp_path):
    tokenizer = Characters("abc")
    model = random_model(models.GRU, tokenizer)
    settings = GenerationSettings(max_new_tokens_limit=3, max_new_tokens=3)

    path = generation.export(model, tokenizer, tmp_path, settings)
    serving.write_warm_up(path, "tale", settings)
    loaded = tf.saved_model.load(path)
    file = path / "assets.extra/tf_serving_warmup_requests"
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
        answered.append(name)
        assert loaded.signatures[name](**inputs)
    assert answered == [
        "generate",
        "score",
        "next_token_probabilities",
        "beam_search",
    ]
