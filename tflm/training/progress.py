"""What a run prints: a header, a line that moves, a line an evaluation."""

import math
import sys
import time
from typing import Any, TextIO

import keras

from tflm.training.callbacks import Samples
from tflm.training.loop import Loop

_BITS_PER_NAT = 1 / math.log(2)
_QUIET_SECONDS = 20.0  # between plain lines where there is no terminal


class ProgressLine(keras.callbacks.Callback):
    """Prints how training goes.

    On a terminal one line is written over and over; elsewhere a plain line
    comes every 20 seconds. Each evaluation prints its line and a sample.

    Args:
        tokens_per_character: float. Of the training text.
        samples: Optional `Samples`, which come before this in the callbacks.
        stream: Where to print. Default: standard output.
    """

    def __init__(
        self,
        tokens_per_character: float,
        samples: Samples | None = None,
        stream: TextIO | None = None,
    ):
        super().__init__()
        self.bits_per_nat = tokens_per_character * _BITS_PER_NAT
        self.samples = samples
        self.stream = stream or sys.stdout
        self.loop: Loop | None = None
        self._moves = self.stream.isatty()
        self._printed_at = 0.0
        self._told_time = False

    def on_log(self, step: int, logs: dict[str, float]) -> None:
        """Prints the line of a log step."""
        assert self.loop is not None  # set when the loop was made
        done = self.loop.part_done()
        left = logs["seconds"] * (1 - done) / max(done, 1e-9)
        if not self._told_time:
            total = logs["seconds"] + left
            self._print(f"training takes about {_duration(total)} in all")
            self._told_time = True
        line = (
            f"step {step:>6,}  epoch {logs['epoch']:6.2f}  "
            f"{self._figures(logs['loss'])}  "
            f"{logs['tokens_per_second']:>8,.0f} tokens/s  "
            f"{_duration(left)} left"
        )
        now = time.monotonic()
        if self._moves:
            self.stream.write(f"\r{line}\033[K")
            self.stream.flush()
        elif now - self._printed_at >= _QUIET_SECONDS:
            self._print(line)
            self._printed_at = now

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Prints the figures of an evaluation and a sample."""
        logs = logs or {}
        if self._moves:
            self.stream.write("\r\033[K")
        if "val_loss" in logs:
            figures = self._figures(logs["val_loss"])
            self._print(f"step {logs['step']:>6,.0f}  validation    {figures}")
        if self.samples is not None:
            text = " ".join(self.samples.text.split())
            self._print(f"             {text[:150]!r}")

    def _figures(self, nats: float) -> str:
        return (
            f"loss {nats:6.4f}  perplexity {math.exp(min(nats, 50)):8.2f}  "
            f"{nats * self.bits_per_nat:6.4f} bits/character"
        )

    def _print(self, line: str) -> None:
        print(line, file=self.stream, flush=True)


def _duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> _duration(75), _duration(7300)
    ('1m 15s', '2h 1m')
    """
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h {whole % 3600 // 60}m"
    return f"{whole // 60}m {whole % 60:02d}s" if whole >= 60 else f"{whole}s"
