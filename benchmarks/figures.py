"""What a benchmark measured: printed, and kept in `results/`."""

import argparse
import importlib.util
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any


def resident(name: str = "VmRSS") -> float:
    """MiB of memory that the process holds, or held at most."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def has_torch() -> bool:
    """Whether PyTorch is installed, an extra: `pip install .[peers]`."""
    return importlib.util.find_spec("torch") is not None


def report(figures: dict[str, Any], options: argparse.Namespace) -> None:
    """Prints the figures with machine, versions and date; maybe keeps them."""
    figures = {
        **figures,
        "machine": f"{platform.machine()}, CPU, {os.cpu_count()} threads",
        "tensorflow": version("tensorflow"),
        "keras": version("keras"),
        "torch": version("torch") if has_torch() else None,
        "date": time.strftime("%Y-%m-%d"),
    }
    print(json.dumps(figures))
    if options.results:
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")
