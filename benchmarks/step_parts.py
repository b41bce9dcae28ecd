"""What a training step's time goes into, by TensorFlow's profiler.

    python benchmarks/step_parts.py --row gru-1024

Operations are summed up over both cores; those that run at the same time count
each. Beside them stands what of a step's time no operation of the model had:
the optimizer with its clipping, and the time between two steps, in which data
come in and figures go out.
"""

import argparse
import collections
import re
import tempfile
from pathlib import Path

from figures import report
from train_step import ROWS, STEPS, our_model, ours, share_out_rows

# The first that fits a name: by what it is said to be in the README.
PARTS = {
    "optimizer": re.compile(r"^adam|^(clip|global_norm)"),
    "products": re.compile(r"MatMul"),
    "kernels": re.compile(r"fusion|^wrapped_|^ynn_|^end: "),
    "softmax": re.compile(r":.*Softmax"),
    "copies": re.compile(r":.*(Transpose|Cast|Pack|Concat|TensorList)"),
    "others": re.compile(r"^[\w/.]+:[A-Z_]\w+$"),
}
# The function of a step, as `training/train_step.py` names it.
STEP = "_on_all_devices"


def events_of(folder: str) -> list[tuple[str, float, float]]:
    """Name, beginning and milliseconds of what ran on the CPU."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    [path] = Path(folder).rglob("*.xplane.pb")
    space = xplane_pb2.XSpace.FromString(path.read_bytes())
    events = []
    for plane in space.planes:
        if "CPU" not in plane.name:
            continue
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                begun = line.timestamp_ns / 1e6 + event.offset_ps / 1e9
                events.append((name, begun, event.duration_ps / 1e9))
    return events


def parts(events: list[tuple[str, float, float]], steps: int) -> dict:
    spent: collections.Counter = collections.Counter()
    for name, _, milliseconds in events:
        fits = (part for part in PARTS if PARTS[part].search(name))
        spent[next(fits, "")] += milliseconds
    del spent[""]
    whole = sum(spent.values())
    inside = [(b, ms) for name, b, ms in events if name == STEP]
    assert len(inside) == steps, f"no steps of the name {STEP}: {len(inside)}"
    begun = [b for b, _ in inside]
    ended = [b + ms for b, ms in inside]
    step = (max(ended) - min(begun)) / steps
    return {
        "step_ms": round(step, 1),
        "operations_ms": round(whole / steps, 1),
        **{f"{part}_share": round(spent[part] / whole, 3) for part in PARTS},
        "between_steps_share": round(
            1 - sum(ms for _, ms in inside) / steps / step, 3
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--row", choices=ROWS, default="gru-1024")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--results", type=Path, help="append the figures here")
    options = parser.parse_args()
    from tflm.command_line import noise

    chosen = options.row, options.precision
    noise.import_tensorflow_quietly(lambda: share_out_rows(*chosen))
    import tensorflow as tf

    weights = our_model(options.row, "float32", rotary=True).get_weights()
    train = ours(options.row, options.precision, weights, checked=False)
    train(5)
    steps = STEPS[options.row]
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            train(steps)
        measured = parts(events_of(folder), steps)
    report({"row": f"{options.row} {options.precision}", **measured}, options)


if __name__ == "__main__":
    main()
