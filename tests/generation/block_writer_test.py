import functools
import os

import numpy as np
import pytest
import tensorflow as tf

from tests.generation.conftest import random_model
from tests.layers.kernel_calls import kernel_calls
from tflm import generation, models
from tflm.generation import text_generator


@pytest.fixture(scope="module")
def plain(tokenizer):
    """What writes so many rows without XLA, by kind of model and rules."""

    @functools.cache
    def writer_of(kind, **rules):
        return writer(random_model(kind, tokenizer), tokenizer, False, **rules)

    return writer_of


@pytest.mark.parametrize(("small", "sizes"), [(10**6, (0, 12)), (0, (1, 12))])
@pytest.mark.parametrize("kind", [models.GPT, models.LSTM])
def test_compiled_steps_write_the_same_texts(
    kind, small, sizes, plain, tokenizer, monkeypatch
):
    """Of many rows of a large model as well, which are not compiled."""
    monkeypatch.setattr(text_generator, "_SMALL", small)
    compiled = writer(random_model(kind, tokenizer), tokenizer, True)
    for rows in sizes:
        expected = plain(kind)(rows)
        assert compiled(rows) == expected
        assert len(set(expected)) > rows // 2 or not rows


@pytest.mark.parametrize(
    ("kind", "small", "rows", "cores"),
    [
        (models.GRU, 10**6, 6, 1),
        (models.GRU, 10**6, 6, 5),  # parts that have no rows
        (models.GPT, 0, 10, 3),  # too large to be compiled for so many
        (models.GRU, 0, 10, 3),
    ],
)
def test_rows_in_parts_are_written_as_together(
    kind, small, rows, cores, plain, tokenizer, monkeypatch
):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    one_thread_each(monkeypatch)
    monkeypatch.setattr(text_generator, "_SMALL", small)
    model, rules = random_model(kind, tokenizer), {"repetition_penalty": 1.3}
    compiled = writer(model, tokenizer, True, **rules)
    assert compiled(rows) == plain(kind, **rules)(rows)


def one_thread_each(monkeypatch):
    threads = "get_intra_op_parallelism_threads"
    monkeypatch.setattr(tf.config.threading, threads, lambda: 1)


@pytest.fixture(scope="module")
def divided(tokenizer):
    """What divides many rows of a GPT among three cores, without XLA."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 3)
        patch.setattr(text_generator, "_SMALL", 0)
        return traced(random_model(models.GPT, tokenizer), tokenizer)


def traced(model, tokenizer):
    generator = generation.TextGenerator(model, tokenizer, jit_compile=True)
    generator.texts.get_concrete_function()
    return generator


def loops_of_many_rows(generator):
    """Loops over blocks, of which one stands for each part."""
    graph = generator.texts.get_concrete_function().graph
    [choice] = [op for op in graph.get_operations() if op.type == "If"]
    many = graph._get_function(choice.get_attr("else_branch").name).graph
    return [op for op in many.get_operations() if op.type.endswith("While")]


def test_cores_have_parts_of_many_rows_where_that_is_faster(
    divided, tokenizer, monkeypatch
):
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(text_generator, "_SMALL", 0)
    recurrent = random_model(models.GRU, tokenizer)
    assert len(loops_of_many_rows(divided)) == 3
    assert len(loops_of_many_rows(traced(recurrent, tokenizer))) == 1
    one_thread_each(monkeypatch)
    assert len(loops_of_many_rows(traced(recurrent, tokenizer))) == 3


def test_parts_share_no_kernel_that_sums(divided, tokenizer, monkeypatch):
    """Two threads that meet in one when it is new can end the process."""
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    compiled = traced(random_model(models.GPT, tokenizer), tokenizer)
    # Two norms in each block and one behind them, where parts are kernels.
    norms = 2 * divided.model.num_layers + 1
    for generator, calls in ((compiled, []), (divided, 3 * [norms])):
        summing, _ = kernel_calls(generator.texts)
        assert sorted(summing.values()) == [1, 1, 1, *calls]


def test_model_that_xla_cannot_compile_is_left_as_it_is(tokenizer):
    model = models.NGram(vocabulary_size=tokenizer.vocabulary_size, order=2)
    expected, found = (
        writer(model, tokenizer, compiled)(3) for compiled in (False, True)
    )
    assert found == expected


def writer(model, tokenizer, jit_compile, **rules):
    """What writes so many rows."""
    settings = generation.GenerationSettings(
        temperature=0.7, top_k=5, top_p=0.95, seed=4, **rules
    )
    generator = generation.TextGenerator(
        model, tokenizer, settings, jit_compile=jit_compile
    )

    def texts(rows):
        prompts = (["", "ab cab", "c"] * 4)[:rows]
        generated = generator.generate(
            np.array(prompts, object), max_new_tokens=([9, 40, 0] * 4)[:rows]
        )
        return generated["text"].numpy().tolist()

    return texts


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
