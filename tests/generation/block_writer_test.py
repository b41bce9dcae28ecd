import os

import numpy as np
import pytest
import tensorflow as tf

from tests.generation.conftest import random_model
from tests.layers.kernel_calls import kernel_calls
from tflm import generation, models
from tflm.generation import text_generator


@pytest.mark.parametrize("small", [10**6, 0])
@pytest.mark.parametrize("kind", [models.GPT, models.LSTM])
def test_compiled_steps_write_the_same_texts(
    kind, small, tokenizer, monkeypatch
):
    """Of many rows of a large model as well, which are not compiled."""
    monkeypatch.setattr(text_generator, "_SMALL", small)
    write = writers(random_model(kind, tokenizer), tokenizer)
    for rows in (0, 1, 3, 12):
        expected, found = (texts(rows) for texts in write)
        assert found == expected
        assert len(set(expected)) > rows // 2 or not rows


@pytest.mark.parametrize("cores", [1, 5])
@pytest.mark.parametrize(
    ("kind", "small", "rows"),
    [
        (models.GRU, 10**6, 6),
        (models.GPT, 0, 9),  # too large to be compiled for so many
    ],
)
def test_rows_in_parts_are_written_as_together(
    kind, small, rows, cores, tokenizer, monkeypatch
):
    """Parts that borrow rows, and parts that have none."""
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(text_generator, "_SMALL", small)
    model = random_model(kind, tokenizer)
    write = writers(model, tokenizer, repetition_penalty=1.3)
    expected, found = (texts(rows) for texts in write)
    assert found == expected


@pytest.mark.parametrize(("kind", "loops"), [(models.GPT, 3), (models.GRU, 1)])
def test_cores_have_parts_of_many_rows_where_that_is_faster(
    kind, loops, tokenizer, monkeypatch
):
    """Without XLA, where a loop over blocks stands for each part."""
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(text_generator, "_SMALL", 0)
    model = random_model(kind, tokenizer)
    generator = generation.TextGenerator(model, tokenizer, jit_compile=True)
    graph = generator.texts.get_concrete_function().graph
    [choice] = [op for op in graph.get_operations() if op.type == "If"]
    many = graph._get_function(choice.get_attr("else_branch").name).graph
    found = [op for op in many.get_operations() if op.type.endswith("While")]
    assert len(found) == loops


@pytest.mark.parametrize("small", [10**6, 0])
def test_parts_share_no_kernel_that_sums(small, tokenizer, monkeypatch):
    """Two threads that meet in one when it is new can end the process."""
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(text_generator, "_SMALL", small)
    model = random_model(models.GPT, tokenizer)
    generator = generation.TextGenerator(model, tokenizer, jit_compile=True)
    summing, _ = kernel_calls(generator.texts)
    # Two norms in each block and one behind them, where parts are kernels.
    norms = 0 if small else 2 * model.num_layers + 1
    assert sorted(summing.values()) == [1, 1, 1] + 3 * [norms] * (norms > 0)


def test_model_that_xla_cannot_compile_is_left_as_it_is(tokenizer):
    model = models.NGram(vocabulary_size=tokenizer.vocabulary_size, order=2)
    expected, found = (texts(3) for texts in writers(model, tokenizer))
    assert found == expected


def writers(model, tokenizer, **rules):
    """What writes so many rows without XLA, and with it."""
    settings = generation.GenerationSettings(
        temperature=0.7, top_k=5, top_p=0.95, seed=4, **rules
    )

    def writer(jit_compile):
        generator = generation.TextGenerator(
            model, tokenizer, settings, jit_compile=jit_compile
        )

        def texts(rows):
            prompts = (["", "ab cab", "c"] * 4)[:rows]
            generated = generator.generate(
                np.array(prompts, object),
                max_new_tokens=([9, 40, 0] * 4)[:rows],
            )
            return generated["text"].numpy().tolist()

        return texts

    return writer(False), writer(True)


@pytest.mark.parametrize("kind", [models.GPT, models.GRU])
def test_text_of_many_blocks_is_that_of_single_steps(kind, tokenizer):
    """Across the borders of blocks, and past the GPT's context."""
    model = random_model(kind, tokenizer)
    settings = generation.GenerationSettings(
        repetition_penalty=1.2, temperature=0.9
    )
    whole = generation.TextGenerator(
        model, tokenizer, settings, allow_end=False
    )
    single = generation.OneStep(model, tokenizer, settings, allow_end=False)
    prompts, seeds = ["", "ab cab" * 20, "c"], [3, 5, 7]
    count = 75
    found = whole.generate(prompts, max_new_tokens=count, seed=seeds)
    texts, states = tf.constant(prompts), None
    written = []
    for _ in range(count):
        texts, states = single.generate_one_step(texts, states, seed=seeds)
        written.append(texts)
    expected = tf.strings.join(written)
    assert found["completion_bytes"].numpy().tolist() == (
        expected.numpy().tolist()
    )


def test_compiled_steps_stop_at_strings(tokenizer):
    model = random_model(models.GRU, tokenizer)
    settings = generation.GenerationSettings(stop=("a",), max_new_tokens=60)
    expected, found = (
        generation.TextGenerator(
            model, tokenizer, settings, allow_end=False, jit_compile=jit
        ).generate(["", "ab"], seed=1)
        for jit in (False, True)
    )
    assert set(found["finish_reason"].numpy()) == {b"stop"}
    assert found["text"].numpy().tolist() == expected["text"].numpy().tolist()
