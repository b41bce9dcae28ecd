"""The loss after training in bfloat16 beside that in float32.

    python benchmarks/precision.py --train_file FILE --max_steps 400 \
        --model gpt --num_layers 4

For each seed the same weights, batches and steps in both precisions, by the
command `tflm.train` in processes of their own, which takes all flags that are
not of this script. What counts is the difference of the validation losses at
the end, in nats a token.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import report


def final_loss(precision: str, seed: int, options: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "tflm.train"),
            *("--train_file", str(options.train_file)),
            *("--precision", precision, "--seed", str(seed)),
            *("--max_steps", str(options.max_steps), "--patience", "0"),
            *("--run_dir", f"{folder}/run", "--export_dir", f"{folder}/out"),
            *options.flags,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        lines = Path(folder, "run", "metrics.jsonl").read_text().splitlines()
    metrics = [json.loads(line) for line in lines]
    return [m["val_loss"] for m in metrics if "val_loss" in m][-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train_file", type=Path, required=True)
    parser.add_argument("--max_steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, help="append the figures here")
    options, options.flags = parser.parse_known_args()
    losses = {
        precision: [
            round(final_loss(precision, seed, options), 4)
            for seed in range(options.seeds)
        ]
        for precision in ("float32", "bfloat16")
    }
    pairs = zip(*losses.values(), strict=True)
    figures = {
        "row": f"{' '.join(options.flags)}, {options.max_steps} steps",
        **losses,
        "furthest": round(max(abs(a - b) for a, b in pairs), 4),
    }
    report(figures, options)


if __name__ == "__main__":
    main()
