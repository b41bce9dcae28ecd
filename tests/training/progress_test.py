import io
import math
import types

import pytest

from tests.training.conftest import make_loop
from tflm.training import progress
from tflm.training.progress import ProgressLine

LOGS = {
    "epoch": 1.5,
    "loss": math.log(2),
    "learning_rate": 0.1,
    "tokens_per_second": 12345.6,
    "seconds": 30.0,
}
FIGURES = "loss 0.6931  perplexity     2.00  0.5000 bits/character"
LINE = f"step  1,200  epoch   1.50  {FIGURES}    12,346 tokens/s  1m 30s left"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = types.SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(progress, "time", clock)
    return clock


def line_on(stream, **options):
    """A line of a run a quarter of which is done; two characters a token."""
    line = ProgressLine(0.5, stream=stream, **options)
    line.loop = types.SimpleNamespace(part_done=lambda: 0.25)
    return line


def test_plain_stream_gets_a_line_every_twenty_seconds(clock):
    line = line_on(io.StringIO())
    for seconds in (0.0, 5.0, 14.0, 2.0):
        clock.now += seconds
        line.on_log(1200, LOGS)
    printed = line.stream.getvalue().splitlines()
    assert printed == ["training takes about 2m 00s in all", LINE, LINE]


def test_terminal_line_is_written_over(clock):
    line = line_on(Terminal())
    line.on_log(1200, LOGS)
    line.on_log(1200, LOGS)
    assert line.stream.getvalue() == (
        "training takes about 2m 00s in all\n" + f"\r{LINE}\033[K" * 2
    )


@pytest.mark.parametrize(
    ("stream", "before"), [(Terminal, "\r\033[K"), (io.StringIO, "")]
)
def test_evaluation_has_its_line_and_a_sample(stream, before):
    samples = types.SimpleNamespace(text="to be\n\nor " + "x" * 200)
    line = line_on(stream(), samples=samples)
    line.on_epoch_end(0, {"step": 1200.0, "val_loss": math.log(2)})
    line.on_epoch_end(1, {"step": 2400.0})
    sample = f"             {'to be or ' + 'x' * 141!r}\n"
    assert line.stream.getvalue() == (
        f"{before}step  1,200  validation    {FIGURES}\n{sample}"
        f"{before}{sample}"
    )


@pytest.mark.parametrize("nats", [1e6, float("nan")])
def test_a_hopeless_loss_can_be_printed(nats):
    line = line_on(Terminal())
    line.on_log(1, {**LOGS, "loss": nats})
    assert "perplexity" in line.stream.getvalue()


def test_resumed_run_asks_for_its_own_terminal(tmp_path):
    def run(stream, steps, **options):
        line = ProgressLine(1.0, stream=stream)
        line.loop = make_loop(tmp_path, [line], log_every=1, max_steps=steps)
        line.loop.run(**options)
        return stream.getvalue()

    assert "\r" in run(Terminal(), 2)
    printed = run(io.StringIO(), 4, resume=True)
    assert "\r" not in printed
    assert printed.startswith("training takes about")
    assert "step      3" in printed


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m 00s"),
        (3599, "59m 59s"),
        (3600, "1h 0m"),
        (90061, "25h 1m"),
    ],
)
def test_durations(seconds, said):
    assert progress._duration(seconds) == said
