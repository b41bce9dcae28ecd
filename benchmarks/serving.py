"""Many clients at once ask one export, in one process without tflm.

    python benchmarks/serving.py saved_models/python_docs-gru

Requests of all signatures, with mixed prompts and settings, are asked alone,
one after the other, and then by clients at once, joined to batches as
TensorFlow Serving joins them. Every answer has to be the same both times, and
memory has to stay.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from figures import report

from tflm.command_line import noise

noise.import_tensorflow_quietly()


from tflm import generation  # noqa: E402
from tflm.datasets.python_docs import python_docs_dataset_builder  # noqa: E402
from tflm.serving import clients  # noqa: E402

# Characters of a paragraph that stand in a prompt.
LENGTHS = (0, 5, 40, 200, 1000)


def prompts() -> list[str]:
    """Beginnings of paragraphs, and what a vocabulary lacks."""
    paragraphs = python_docs_dataset_builder.paragraphs()
    begun = [text[:size] for _, text in paragraphs[:40] for size in LENGTHS]
    return [*dict.fromkeys(begun), "\N{SNOWMAN}", "\0"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", help="folder of a SavedModel")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--max_new_tokens", type=int, default=100)
    parser.add_argument("--results", type=Path, help="append the figures here")
    options = parser.parse_args()
    path = generation.SavedModel(options.export).path
    plan = {
        "prompts": prompts(),
        "requests": options.requests,
        "clients": options.clients,
        "max_new_tokens": options.max_new_tokens,
    }
    answered = subprocess.run(
        [sys.executable, "-I", clients.__file__, path],
        input=json.dumps(plan),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    row = {
        "row": f"{Path(options.export).name}, up to "
        f"{options.max_new_tokens} new tokens",
        **json.loads(answered.stdout),
    }
    report(row, options)


if __name__ == "__main__":
    main()
