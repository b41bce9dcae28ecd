"""Counting and scoring speed of the n-gram model, beside KenLM's programs.

    python benchmarks/ngram.py train.txt test.txt --kenlm DIR

Both files hold a document a line, words between spaces, and end with a newline
(`lmplz` misplaces weights where the last line has none). Ours counts and
scores in this process; where `--kenlm` names a folder that holds `lmplz`,
`build_binary` and `query`, they do the same work after it, and the
perplexities must agree. Each runs once: a minute is longer than the ups and
downs of a shared machine.
"""

import argparse
import json
import platform
import re
import resource
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from tflm.command_line import noise

noise.import_tensorflow_quietly()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from tflm.models import NGram  # noqa: E402
from tflm.pipelines import TokenStore, make_examples  # noqa: E402
from tflm.pipelines.token_store import Counts  # noqa: E402
from tflm.tokenizers import Tokenizer  # noqa: E402
from tflm.training import device  # noqa: E402

LOOK_UPS = 2**14


def store_of(path: Path, ids: dict[bytes, int]) -> TokenStore:
    """A file's lines as documents of ids."""
    targets, starts = [], []
    with path.open("rb") as lines:
        for line in lines:
            starts.append(len(targets))
            words = line.split()
            targets += [ids.get(word, Tokenizer.unk_id) for word in words]
            targets.append(Tokenizer.end_id)
    unknown = targets.count(Tokenizer.unk_id)
    counts = Counts(len(starts), len(targets), len(starts), unknown, 0, 0, 0)
    array = np.array(targets, np.uint32)
    return TokenStore(array, np.array(starts), counts, "")


def words_of(path: Path) -> dict[bytes, int]:
    """The ids of a file's words, the most frequent first."""
    counts: Counter[bytes] = Counter()
    with path.open("rb") as lines:
        for line in lines:
            counts.update(line.split())
    words = [word for word, _ in counts.most_common()]
    return {word: place for place, word in enumerate(words, start=4)}


def ours(options: argparse.Namespace) -> dict[str, float]:
    """Counts and scores with the package."""
    ids = words_of(options.train)
    train, test = store_of(options.train, ids), store_of(options.test, ids)
    size = len(ids) + 4
    del ids
    before = peak()
    began = time.perf_counter()
    model = NGram.train(train, vocabulary_size=size, order=options.order)
    counted = time.perf_counter() - began
    memory = peak()
    look_up = tf.function(model.nats, reduce_retracing=True)
    nats_of(test, model, look_up)  # traces
    began = time.perf_counter()
    nats = nats_of(test, model, look_up)
    scored = time.perf_counter() - began
    return {
        "tokens": train.counts.tokens,
        "vocabulary_size": size,
        "ngrams": model.num_ngrams,
        "train_seconds": round(counted, 1),
        "peak_gigabytes": round(memory, 2),
        "peak_gigabytes_before": round(before, 2),
        "scored_tokens": test.counts.tokens,
        "scored_tokens_per_second": round(test.counts.tokens / scored),
        "perplexity": float(np.exp(nats / test.counts.tokens)),
    }


def nats_of(store: TokenStore, model: NGram, look_up) -> float:
    """A text's nats. START begins a document anew: the state goes on."""
    total, state = 0.0, model.get_initial_state(1)
    for first in range(0, store.counts.tokens, LOOK_UPS):
        last = min(first + LOOK_UPS, store.counts.tokens)
        positions = np.arange(first, last)[np.newaxis]
        weights = np.ones(positions.shape, np.float32)
        inputs, targets, _ = make_examples(
            store.targets, store.starts, positions, weights
        )
        nats, state = look_up(inputs, targets, initial_state=state)
        total += nats.numpy().sum(dtype=np.float64)
    return total


def theirs(options: argparse.Namespace, size: int) -> dict[str, float]:
    """Counts and scores with KenLM."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        run(
            options,
            "lmplz",
            *("-o", options.order, "--vocab_pad", size - 2, "-S", "2G"),
            *("-T", folder, "--text", options.train),
            *("--arpa", folder / "model.arpa"),
        )
        counted = time.perf_counter() - began
        binary = folder / "model.bin"
        run(options, "build_binary", folder / "model.arpa", binary)
        with options.test.open("rb") as text:
            report = run(options, "query", "-v", "summary", binary, stdin=text)
        found = re.search(r"Perplexity including OOVs:\s*([\d.]+)", report)
        assert found, report
        return {
            "lmplz_seconds": round(counted, 1),
            "kenlm_perplexity": float(found[1]),
        }


def run(options: argparse.Namespace, program: str, *arguments, stdin=None):
    """The output of a program of KenLM's."""
    return subprocess.run(
        [options.kenlm / program, *map(str, arguments)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    ).stdout


def peak() -> float:
    """The most memory resident so far, in GB."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_maxrss * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path, help="a document a line")
    parser.add_argument("test", type=Path, help="likewise")
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--kenlm", type=Path, help="folder of its programs")
    parser.add_argument("--results", type=Path, help="append the figures here")
    options = parser.parse_args()
    figures = ours(options)
    if options.kenlm:
        figures |= theirs(options, int(figures["vocabulary_size"]))
        ratio = figures["perplexity"] / figures["kenlm_perplexity"]
        assert abs(ratio - 1) < 1e-3, f"not the same model: {figures}"
    figures |= {
        "order": options.order,
        "machine": f"{platform.machine()}, {device.describe()}",
        "tensorflow": tf.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    print(json.dumps(figures))
    if options.results:
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
