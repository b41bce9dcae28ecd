"""Sides of a comparison, each in a process of its own, taking turns."""

import json
import statistics
import subprocess
import sys
from typing import Any


class Side:
    """A process that works when it is told to.

    It answers every line with one of JSON; the first answer comes unasked.
    """

    def __init__(self, script: str, arguments: list[str]):
        self.process = subprocess.Popen(
            [sys.executable, script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.first = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "a side has ended: see what it said above"
        return json.loads(line)

    def ask(self, amount: int) -> dict[str, float]:
        """Has the side work off an amount; its measurements."""
        assert self.process.stdin is not None
        print(amount, file=self.process.stdin, flush=True)
        return self._answer()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def take_turns(
    sides: dict[str, Side], amount: int, turns: int
) -> list[dict[str, dict[str, float]]]:
    """What each side measured in each turn; who goes first takes turns too."""
    names = list(sides)
    taken = []
    for turn in range(turns):
        first = turn % len(names)
        order = names[first:] + names[:first]
        taken.append({name: sides[name].ask(amount) for name in order})
    return taken


def speeds(
    turns: list[dict[str, dict[str, float]]], amount: int, ours: str
) -> dict[str, Any]:
    """Medians of amounts a second, and of one side's ratio to each other."""
    figures: dict[str, Any] = {}
    rates = {
        name: [amount / turn[name]["seconds"] for turn in turns]
        for name in turns[0]
    }
    for name, values in rates.items():
        figures[f"{name}_tokens_per_second"] = round(statistics.median(values))
        if name == ours:
            continue
        pairs = zip(rates[ours], values, strict=True)
        ratios = sorted(a / b for a, b in pairs)
        figures[f"to_{name}"] = round(statistics.median(ratios), 2)
        ends = [round(ratios[0], 2), round(ratios[-1], 2)]
        figures[f"to_{name}_range"] = ends
    return figures
