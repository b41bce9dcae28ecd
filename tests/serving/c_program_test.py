"""Exports run by a C program: TensorFlow's C library and nothing of Python."""

import shutil
import subprocess
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.serving.conftest import KINDS

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
LIBRARIES = Path(tf.sysconfig.get_lib())
SOURCE = Path(__file__).with_name("run_export.c")
PLACES = ("prompt", "max_new_tokens", "temperature", "top_k", "top_p", "seed")
TOKENS, SEED = 15, 3

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
    if shutil.which("ld.gold"):
        # The library has a gigabyte, which GNU's usual linker reads for long.
        command.append("-fuse-ld=gold")
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


def run(program, made, prompts, tokens):
    path, generator, _ = made
    library = library_of(generator.tokenizer)
    return subprocess.run(
        [program, path, library, str(tokens), str(SEED), *prompts],
        input=places(path).encode(),
        capture_output=True,
        env={},  # no path on which a Python could be found
    )


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_those_of_the_model(made, kind, program):
    prompts = ["", "a rose: 日é"]
    written = made(kind).generator.generate(
        prompts, max_new_tokens=TOKENS, temperature=1.0, seed=SEED
    )
    ended = run(program, made(kind), prompts, TOKENS)
    assert ended.returncode == 0, ended.stderr.decode()[-2000:]
    texts = written["text"].numpy().tolist()
    assert ended.stdout == b"".join(text + b"\0" for text in texts)
    for prompt, text in zip(prompts, texts, strict=True):
        assert len(text) > len(prompt.encode())


def test_invalid_setting_says_its_rule(made, program):
    ended = run(program, made("characters"), ["a"], -1)
    assert ended.returncode == 1
    assert b"`max_new_tokens` must be from 0 to" in ended.stderr


def library_of(tokenizer):
    """TF-Text's operations of the tokenizer, as a library to load."""
    if not tokenizer.op_libraries:
        return ""
    import tensorflow_text

    folder = Path(tensorflow_text.__file__).parent
    [library] = folder.glob("**/_sentencepiece_tokenizer.so")
    return library
