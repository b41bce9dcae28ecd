"""Preparing and reading a large text: MB/s, tokens/s and memory.

    python benchmarks/input_pipeline.py FOLDER --megabytes 540

FOLDER holds texts of words, such as WikiText's files; a larger text is made
of them. Each row runs in a process of its own, whose peak of resident memory
is told: a tokenizer is trained, the text is turned into ids on disk, and the
plain library does its part on the same text. Then shuffled batches are read.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tflm import config

SUBWORDS = {"vocabulary_size": 8_000, "sample_characters": 2_000_000}
COLD = 10  # megabytes
READ_STEPS = 3_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=float, default=540)
    parser.add_argument("--kinds", nargs="+", default=config.TOKENIZERS)
    parser.add_argument("--results", type=Path, help="append the figures here")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(row(options.row, options.folder)))
        return
    import large_text

    with tempfile.TemporaryDirectory() as folder:
        texts = []
        for size in (COLD, options.megabytes):
            file = Path(folder, f"text_{size:g}.txt")
            texts.append((file, large_text.write(file, options.folder, size)))
        for kind in options.kinds:
            for file, made in texts:
                figures = {**made, **in_a_process(kind, file)}
                print(json.dumps(figures), flush=True)
                if options.results:
                    with options.results.open("a", encoding="utf-8") as out:
                        out.write(json.dumps(figures) + "\n")


def in_a_process(kind: str, file: Path) -> dict:
    command = [sys.executable, __file__, str(file), "--row", kind]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(ended.stdout)


def row(kind: str, file: Path) -> dict:
    """One kind of tokenizer on one text, and what it took."""
    from tflm.command_line import noise

    noise.import_tensorflow_quietly()
    import tensorflow as tf

    from tflm import datasets, pipelines, tokenizers

    imported = memory()
    settings = {"tokenizer": kind, "train_file": str(file)}
    settings |= {"validation_fraction": 0.0, "test_fraction": 0.0}
    if kind in ("unigram", "bpe", "word_piece"):
        settings |= SUBWORDS
    chosen = config.from_flat(settings)
    megabytes = file.stat().st_size / 1e6
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        splits = datasets.load(chosen.data).splits
        texts = splits["train"].map(lambda piece: piece["text"])
        tokenizer = tokenizers.train(texts, chosen.tokenizer)
        trained = time.perf_counter()
        store = pipelines.prepare(splits["train"], tokenizer, cache)
        prepared = time.perf_counter()
        windows = pipelines.Windows(store, 128, 64, seed=0)
        tokens = read(windows)
        peak = memory()
    return {
        "tokenizer": kind,
        "vocabulary_size": tokenizer.vocabulary_size,
        "tokens": store.counts.tokens,
        "training_seconds": round(trained - began, 1),
        "all_mb_per_second": round(megabytes / (prepared - began), 2),
        "ids_mb_per_second": round(megabytes / (prepared - trained), 2),
        "plain_mb_per_second": round(plain(kind, tokenizer, file), 2),
        "read_tokens_per_second": round(tokens),
        "imported_mib": imported,
        "peak_mib": peak,
        "machine": f"{platform.machine()}, {platform.processor()}",
        "tensorflow": tf.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def read(windows) -> float:
    """Tokens a second of shuffled batches."""
    batches = iter(windows.dataset(epochs=None))
    next(batches)
    began = time.perf_counter()
    for _ in range(READ_STEPS):
        next(batches)
    seconds = time.perf_counter() - began
    return READ_STEPS * windows.batch_size * windows.seq_len / seconds


def plain(kind: str, tokenizer, file: Path) -> float:
    """MB/s of the library alone, on the first 10 MB: text to ids."""
    with file.open("rb") as opened:
        text = opened.read(COLD * 10**6)
    began = time.perf_counter()
    if kind == "characters":
        import numpy as np

        table = np.ones(0x110000, np.int32)
        code_points = text.decode("utf-8", "ignore").encode("utf-32-le")
        table[np.frombuffer(code_points, np.uint32)]
    elif kind == "bytes":
        list(text)
    elif kind == "words":
        known = {w.encode(): i for i, w in enumerate(tokenizer.vocabulary)}
        [known.get(word, 1) for word in text.split()]
    elif kind == "word_piece":
        tokenizer._cutter.tokenize(text.split())
    else:
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor()
        processor.load_from_serialized_proto(tokenizer.model)
        lines = text.decode("utf-8", "ignore").split("\n")
        processor.encode(lines, num_threads=2)
    return len(text) / 1e6 / (time.perf_counter() - began)


def memory() -> int:
    """The peak of resident memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
