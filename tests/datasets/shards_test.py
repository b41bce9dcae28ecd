import inspect
import json
import subprocess
import sys

import pytest
import tensorflow as tf

from tflm.datasets import sharded
from tflm.datasets.shards import parse_shard

# Documents of one to three pieces.
PIECES = [
    (f"{document}.{piece} ", piece == 0, piece == document % 3)
    for document in range(11)
    for piece in range(document % 3 + 1)
]


def read_shard(file, shard, cache):
    """What a process with a shard trains on, and with what."""
    from tflm import config
    from tflm.training.text import prepare

    settings = {"train_file": file, "shard": shard, "cache_dir": cache}
    text = prepare(config.from_flat({**settings, "tokenizer": "words"}))
    pieces = text.text.splits["train"].as_numpy_iterator()
    held_out = text.text.splits["validation"].as_numpy_iterator()
    return {
        "train": [piece["text"].decode() for piece in pieces],
        "validation": [piece["text"].decode() for piece in held_out],
        "tokens": text.stores["train"].counts.tokens,
        "tokenizer": text.tokenizer.fingerprint(),
    }


READER = f"""
import json, sys

{inspect.getsource(read_shard)}

print(json.dumps(read_shard(*sys.argv[1:])))
"""


def read(data):
    return [
        (p["text"].decode(), bool(p["starts"]), bool(p["ends"]))
        for p in data.as_numpy_iterator()
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 13])
def test_shards_hold_every_document_once_and_whole(count):
    columns = zip(*PIECES, strict=True)
    data = tf.data.Dataset.from_tensor_slices(
        dict(zip(("text", "starts", "ends"), map(list, columns), strict=True))
    )
    shards = [read(sharded(data, f"{i}/{count}")) for i in range(count)]
    assert sorted(piece for shard in shards for piece in shard) == sorted(
        PIECES
    )
    for index, shard in enumerate(shards):
        documents = {int(text.split(".")[0]) for text, _, _ in shard}
        assert documents == set(range(index, 11, count))
        assert shard == [p for p in PIECES if p in shard]  # in their order


def test_two_processes_divide_the_training_text(tmp_path):
    rows = [f"document {number} a b c" for number in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join(["text", *rows]) + "\n")
    file, cache = str(tmp_path / "rows.csv"), str(tmp_path / "cache")
    other = subprocess.Popen(
        [sys.executable, "-c", READER, file, "1/2", cache],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    first = read_shard(file, "0/2", cache)
    second = json.loads(other.communicate()[0])
    assert first["tokenizer"] == second["tokenizer"]
    assert first["validation"] == second["validation"]
    trained = first["train"] + second["train"]
    assert not set(first["train"]) & set(second["train"])
    assert len(trained) == len(set(trained))
    test = set(rows) - set(trained) - set(first["validation"])
    assert len(test) + len(trained) + len(first["validation"]) == 40
    assert first["tokens"] == 6 * len(first["train"])  # with their ends


@pytest.mark.parametrize("shard", ["2/2", "1", "a/b", "-1/2", "0/0", "1/2/3"])
def test_other_shards_are_refused(shard):
    with pytest.raises(ValueError, match=f"such as 0/2.*'{shard}'"):
        parse_shard(shard)
