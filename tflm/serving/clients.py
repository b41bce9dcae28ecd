"""Many clients at once ask an export, which is batched as a server does it.

    python -I clients.py EXPORT < plan.json > report.json

It is run, not imported by tflm: nothing of tflm may be needed, nor can be
imported. The plan names `prompts`, and may name `requests`, `clients`,
`max_new_tokens` and `seed`.

Requests of one signature that wait at the same time are joined to one batch,
of at most 64 rows, which waits for at most 2 ms for more: TensorFlow Serving
with the `batching.config` beside an export. Each request has settings of its
own, and its answer has to be that of the request asked alone.
"""

import concurrent.futures
import importlib
import json
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_MOST_ROWS = 64
_TIMEOUT = 0.002  # seconds
_THREADS = 2  # batches that are computed at once
# float32 in batches of other sizes.
_TOLERANCE = 1e-3
_PERCENTILES = (50, 90, 99)
# What an answer has beyond its own number of columns.
_NOTHING = {"texts": b"", "tokens": b"", "probabilities": 0.0}

Rows = dict[str, np.ndarray]


class Batcher:
    """Joins requests that wait at the same time.

    Args:
        answer: Takes inputs by name, [B,...] each, gives outputs likewise.
    """

    def __init__(self, answer: Callable[[Rows], Rows]):
        self.answer = answer
        self.batch_sizes: list[int] = []
        self._waiting: queue.Queue[tuple[Rows, Any]] = queue.Queue()
        for _ in range(_THREADS):
            threading.Thread(target=self._work, daemon=True).start()

    def ask(self, inputs: Rows) -> Rows:
        """The answer to one request, once its batch is computed."""
        future: concurrent.futures.Future = concurrent.futures.Future()
        self._waiting.put((inputs, future))
        return future.result()

    def _work(self) -> None:
        while True:
            batch = self._next_batch()
            sizes = [_size(inputs) for inputs, _ in batch]
            self.batch_sizes.append(sum(sizes))
            try:
                joined = {
                    name: np.concatenate([inputs[name] for inputs, _ in batch])
                    for name in batch[0][0]
                }
                answer = self.answer(joined)
            except Exception as error:
                for _, future in batch:
                    future.set_exception(error)
                continue
            ends = np.cumsum(sizes)
            for (_, future), end, size in zip(batch, ends, sizes, strict=True):
                rows = {n: rows[end - size : end] for n, rows in answer.items()}
                future.set_result(rows)

    def _next_batch(self) -> list[tuple[Rows, Any]]:
        batch = [self._waiting.get()]
        closes = time.monotonic() + _TIMEOUT
        while sum(_size(inputs) for inputs, _ in batch) < _MOST_ROWS:
            try:
                left = closes - time.monotonic()
                batch.append(self._waiting.get(timeout=max(left, 0)))
            except queue.Empty:
                break
        return batch


def requests_of(plan: dict[str, Any]) -> list[tuple[str, Rows]]:
    """Signatures and inputs, drawn from a plan: prompts and settings mixed."""
    chance = random.Random(plan.get("seed", 0))
    tokens = plan.get("max_new_tokens", 40)

    def rows(count: int, dtype: str, draw: Callable[[], Any]) -> np.ndarray:
        return np.array([draw() for _ in range(count)], dtype)

    def request(number: int) -> tuple[str, Rows]:
        count = chance.choice([1, 1, 1, 2, 4])
        prompts = rows(count, "O", lambda: chance.choice(plan["prompts"]))
        length = rows(count, "int32", lambda: chance.randint(0, tokens))
        # All four come round, however few requests there are.
        kind = number % 8
        if kind == 0:
            return "score", {"text": prompts}
        if kind == 1:
            k = rows(count, "int32", lambda: chance.randint(1, 12))
            return "next_token_probabilities", {"prompt": prompts, "k": k}
        if kind == 2:
            return "beam_search", {
                "prompt": prompts,
                "num_beams": rows(count, "int32", lambda: chance.randint(1, 4)),
                "max_new_tokens": length,
                "length_penalty": rows(count, "float32", chance.random),
            }
        return "generate", {
            "prompt": prompts,
            "max_new_tokens": length,
            "temperature": rows(
                count, "float32", lambda: chance.choice([0, 0.5, 1, 1.5])
            ),
            "top_k": rows(count, "int32", lambda: chance.choice([0, 1, 20])),
            "top_p": rows(count, "float32", lambda: chance.choice([1, 0.8])),
            "seed": rows(count, "int32", lambda: chance.randrange(2**31)),
        }

    return [request(number) for number in range(plan.get("requests", 200))]


def ask_at_once(
    requests: list[tuple[str, Rows]],
    batchers: dict[str, Batcher],
    clients: int,
) -> tuple[list[Any], list[float]]:
    """Every answer, or the exception, and how long each was waited for."""
    answers: list[Any] = [None] * len(requests)
    seconds = [0.0] * len(requests)
    numbers = iter(range(len(requests)))
    lock = threading.Lock()

    def client() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            signature, inputs = requests[number]
            begun = time.monotonic()
            try:
                answers[number] = batchers[signature].ask(inputs)
            except Exception as error:
                answers[number] = error
            seconds[number] = time.monotonic() - begun

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, seconds


def same(alone: Rows, batched: Rows) -> bool:
    """Whether an answer is the same, wider columns of others left aside."""
    for name, own in alone.items():
        other = batched[name]
        if own.ndim == 2:
            other, beyond = np.split(other, [own.shape[1]], axis=1)
            nothing = _NOTHING.get(name)
            if nothing is not None and not (beyond == nothing).all():
                return False
        if own.dtype.kind == "f":
            near = np.isclose(own, other, _TOLERANCE, _TOLERANCE)
            if not near.all():
                return False
        elif not np.array_equal(own, other):
            return False
    return True


def resident_mib() -> float:
    """Memory that the process holds."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    return int(status.read_text().split("VmRSS:")[1].split()[0]) / 1024


def report(export: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """Asks all of a plan's requests alone and at once, and compares."""
    signatures = _signatures(export)
    requests = requests_of(plan)
    begun = time.monotonic()
    alone = [signatures[name](inputs) for name, inputs in requests]
    seconds_alone = time.monotonic() - begun
    batchers = {name: Batcher(answer) for name, answer in signatures.items()}
    clients = plan.get("clients", 16)
    ask_at_once(requests[: len(requests) // 4], batchers, clients)
    memory = resident_mib()
    for batcher in batchers.values():
        batcher.batch_sizes.clear()
    begun = time.monotonic()
    answers, waits = ask_at_once(requests, batchers, clients)
    seconds = time.monotonic() - begun
    lost = [a for a in answers if not isinstance(a, dict)]
    different = sum(
        isinstance(answer, dict) and not same(own, answer)
        for own, answer in zip(alone, answers, strict=True)
    )
    sizes = [s for batcher in batchers.values() for s in batcher.batch_sizes]
    return {
        "requests": len(requests),
        "clients": clients,
        "lost": len(lost),
        "first_loss": repr(lost[0]) if lost else None,
        "different": different,
        "requests_per_second_alone": len(requests) / seconds_alone,
        "requests_per_second": len(requests) / seconds,
        "latency_ms": {
            str(p): 1000 * float(np.percentile(waits, p)) for p in _PERCENTILES
        },
        "rows_per_batch": float(np.mean(sizes)),
        "memory_mib": memory,
        "memory_growth_mib": resident_mib() - memory,
    }


def _signatures(export: Path) -> dict[str, Callable[[Rows], Rows]]:
    """The export's signatures, from arrays to arrays."""
    import tensorflow as tf

    libraries = export / "assets.extra" / "op_libraries.json"
    for library in json.loads(libraries.read_text(encoding="utf-8")):
        importlib.import_module(library)
    loaded = tf.saved_model.load(str(export))

    def from_arrays(name: str) -> Callable[[Rows], Rows]:
        def answer(inputs: Rows) -> Rows:
            tensors = {key: tf.constant(value) for key, value in inputs.items()}
            outputs = loaded.signatures[name](**tensors)
            return {key: tensor.numpy() for key, tensor in outputs.items()}

        return answer

    # The signatures live as long as what was loaded.
    return {name: from_arrays(name) for name in loaded.signatures}


def _size(inputs: Rows) -> int:
    return len(next(iter(inputs.values())))


def main() -> None:
    """Reads a plan, prints a report."""
    sys.modules["tflm"] = None  # type: ignore[assignment]
    json.dump(report(Path(sys.argv[1]), json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
