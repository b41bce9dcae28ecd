"""What a benchmark measured: printed, and kept in `results/`."""

import argparse
import importlib.util
import json
import os
import platform
import re
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tflm import processor


def resident(name: str = "VmRSS") -> float:
    """MiB of memory that the process holds, or held at most."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def has_torch() -> bool:
    """Whether PyTorch is installed, an extra: `pip install .[peers]`."""
    return importlib.util.find_spec("torch") is not None


def machine() -> str:
    """The processor, what it has for bfloat16, and its threads."""
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    named = re.search(r"^model name\s*: (.+)$", text, re.M)
    name = named[1] if named else platform.machine()
    fast = [has for has in ("amx_bf16", "avx512_bf16") if processor.has(has)]
    return ", ".join([name, *fast, f"{os.cpu_count()} threads"])


def report(figures: dict[str, Any], options: argparse.Namespace) -> None:
    """Prints the figures with machine, versions and date; maybe keeps them."""
    figures = {
        **figures,
        "machine": machine(),
        "tensorflow": version("tensorflow"),
        "keras": version("keras"),
        "torch": version("torch") if has_torch() else None,
        "date": time.strftime("%Y-%m-%d"),
    }
    print(json.dumps(figures))
    if options.results:
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")
