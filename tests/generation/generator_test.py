"""What all kinds of generators do alike."""

import threading

import pytest
import tensorflow as tf

from tests.generation.conftest import random_model
from tflm import generation, models

KINDS = {
    generation.TextGenerator: lambda generator: generator.generate("a"),
    generation.OneStep: lambda generator: generator.generate_one_step(["a"]),
    generation.BeamGenerator: lambda generator: generator.search("a"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_threads_take_turns_where_xla_compiles(kind, jit_compile, tokenizer):
    """Each waits inside for the other, which comes only without turns."""
    model = random_model(models.GRU, tokenizer)
    generator = kind(model, tokenizer, jit_compile=jit_compile)
    both, met = threading.Barrier(2), []

    def compute(*unused, **settings):
        try:
            both.wait(timeout=0.5 if jit_compile else 30)
            met.append(True)
        except threading.BrokenBarrierError:
            met.append(False)
            both.reset()
        return {"text": tf.constant(["a"])}

    generator.texts = generator.step = compute
    generator.searches = {"likeliest": compute}
    threads = [
        threading.Thread(target=KINDS[kind], args=[generator]) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == 2 * [not jit_compile]
