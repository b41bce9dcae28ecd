"""Exports run by a C program: TensorFlow's C library and nothing of Python."""

import shutil
import subprocess
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.generation.conftest import VOCABULARY, random_model
from tflm import generation, models
from tflm.tokenizers import Characters, SentencePiece, Words

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
LIBRARIES = Path(tf.sysconfig.get_lib())
SOURCE = Path(__file__).with_name("run_export.c")
PLACES = ("prompt", "max_new_tokens", "temperature", "top_k", "top_p", "seed")
TOKENS, SEED = 15, 3
ROSE = ["a rose is a rose", "who is that ?"]
KINDS = {
    "characters": lambda: Characters(VOCABULARY),
    "words": lambda: Words(["\n", "a", "rose", "is", "that", "who"]),
    "unigram": lambda: SentencePiece.train(ROSE),
}

pytestmark = pytest.mark.skipif(
    COMPILER is None, reason="there is no C compiler"
)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The program, compiled against the library in TensorFlow's wheel."""
    path = tmp_path_factory.mktemp("program") / "run_export"
    headers = tf.sysconfig.get_include()
    names = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]
    found = [str(LIBRARIES / name) for name in names]
    if missing := [name for name in found if not Path(name).exists()]:
        pytest.skip(f"TensorFlow has no C library here: {missing}")
    command = [COMPILER, "-std=c11", "-Wall", "-Werror", f"-I{headers}"]
    linked = [*found, f"-Wl,-rpath,{LIBRARIES}"]
    subprocess.run([*command, SOURCE, *linked, "-o", path], check=True)
    return path


def places(export):
    """Where the tensors of `generate` are in the graph, as the program asks."""
    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((export / "saved_model.pb").read_bytes())
    signature = proto.meta_graphs[0].signature_def["generate"]
    names = [signature.outputs["text"].name]
    return "\n".join([*names, *(signature.inputs[n].name for n in PLACES)])


@pytest.fixture(scope="module", params=KINDS)
def exported(request, tmp_path_factory):
    """What writes the texts to expect, and the export, moved elsewhere."""
    tokenizer = KINDS[request.param]()
    model = random_model(models.GRU, tokenizer)
    folder = tmp_path_factory.mktemp("exported")
    path = generation.export(model, tokenizer, folder / "versions")
    moved = Path(shutil.move(path, folder / "moved"))
    return generation.TextGenerator(model, tokenizer), moved


def run(program, generator, path, prompt, tokens):
    return subprocess.run(
        [
            program,
            *(str(path), prompt, str(tokens), str(SEED)),
            *libraries_of(generator.tokenizer),
        ],
        input=places(path).encode(),
        capture_output=True,
        env={},  # no path on which a Python could be found
    )


def test_text_is_that_of_the_model(exported, program):
    generator, path = exported
    for prompt in ("", "a rose: 日é"):
        written = generator.generate(
            prompt, max_new_tokens=TOKENS, temperature=1.0, seed=SEED
        )
        ended = run(program, generator, path, prompt, TOKENS)
        assert ended.returncode == 0, ended.stderr.decode()[-2000:]
        assert ended.stdout == written["text"].numpy()
        assert len(ended.stdout) > len(prompt.encode())


def test_invalid_setting_says_its_rule(exported, program):
    ended = run(program, *exported, "a", -1)
    assert ended.returncode == 1
    assert b"`max_new_tokens` must be from 0 to" in ended.stderr


def libraries_of(tokenizer):
    """TF-Text's operations of the tokenizer, as a library to load."""
    if not tokenizer.op_libraries:
        return []
    import tensorflow_text

    folder = Path(tensorflow_text.__file__).parent
    [library] = folder.glob("**/_sentencepiece_tokenizer.so")
    return [str(library)]
