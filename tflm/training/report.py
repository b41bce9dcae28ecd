"""What a run says when it ends: scores, samples, run card, loss curve."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tflm import config as configuration
from tflm import writing
from tflm.evaluation import xz_bits_per_byte
from tflm.training import device
from tflm.training import session as sessions
from tflm.training.callbacks import read_metrics
from tflm.training.loop import INTERRUPTED
from tflm.training.run_directory import RunDirectory
from tflm.training.session import Session
from tflm.training.text import PreparedText, prepare
from tflm.training.trained_model import TrainedModel, load

# A general compressor is slow: beside larger texts its figure is left out.
_MOST_XZ_BYTES = 32 * 2**20

_SAMPLE_SETTINGS = {"temperature": 0.8, "max_new_tokens": 400, "seed": 1}


def print_header(session: Session) -> None:
    """Prints what is about to be trained, on what, for how long."""
    config, text, model = session.run.config, session.text, session.model
    counts = {s: store.counts for s, store in text.stores.items()}
    sizes = ", ".join(f"{c.characters:,} {s}" for s, c in counts.items())
    trainable = sum(v.shape.num_elements() for v in model.trainable_weights)
    frozen = model.count_params() - trainable
    train = counts["train"]
    shape = f"{config.model.num_layers} x {config.model.units} units"
    rows = {
        "data": f"{text.text.name}: {sizes} (characters)",
        "vocabulary": f"{text.tokenizer.vocabulary_size:,} "
        f"{text.tokenizer.kind}, {train.unknown_tokens:,} unknown",
        "model": f"{config.model.model}, {shape}, {trainable:,} parameters to "
        f"train, {frozen:,} frozen",
        "device": f"{device.describe()}, {session.run.facts['precision']}",
        "time": _expected_time(session),
        "run": str(session.run.path),
    }
    for name, value in rows.items():
        print(f"{name:<12} {value}", flush=True)


def finish(session: Session, reason: str, export_dir: Path) -> None:
    """Scores the best weights, prints samples, writes card and export.

    Args:
        session: A session whose training has ended.
        reason: Why it ended. After an interruption nothing is exported.
        export_dir: Folder in which the export's own folder is made.
    """
    run, text = session.run, session.text
    progress = session.loop.progress
    print(f"\n{reason} at step {progress.step:,}, {progress.seconds:.0f} s")
    trained = load(run.path)
    figures = evaluate(trained, text, text.held_out)
    for split, values in figures.items():
        xz = values.get("xz_bits_per_byte")
        print(
            f"{split:<12} {values['nats_per_token']:.4f} nats/token  "
            f"perplexity {values['perplexity']:.3f}  "
            f"{values['bits_per_character']:.4f} bits/character  "
            f"{values['bits_per_byte']:.4f} bits/byte"
            + (f" (xz: {xz:.4f})" if xz is not None else "")
        )
    prompts = [text.prompt(), ""]
    samples = trained.generate(prompts, **_SAMPLE_SETTINGS)
    write_card(run, trained, figures, samples[0])
    if reason == INTERRUPTED:
        print(f"go on with: python -m tflm.train --resume --run_dir {run.path}")
        return
    for sample in samples:
        print(f"\n--- a sample, temperature 0.8 ---\n{sample}")
    path = trained.export(export_dir / trained.name)
    print(
        f"\nrun          {run.path} (see its README.md)\n"
        f"export       {path}\nnext\n"
        f'  python -m tflm.generate {run.path} --prompt "The " '
        "--temperature 0.8\n"
        f"  python -m tflm.evaluate {run.path}\n"
        f"  tensorboard --logdir {run.tensorboard}"
    )


def _expected_time(session: Session) -> str:
    training, loop = session.loop.settings, session.loop
    bounds = []
    if training.max_minutes is not None:
        bounds.append(f"{training.max_minutes:g} minutes of training")
    if loop.total_steps is not None:
        bounds.append(f"{loop.total_steps:,} steps")
    return f"{' or '.join(bounds)}, then scores, samples and an export"


def evaluate(
    trained: TrainedModel, text: PreparedText, splits: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Scores splits, each target once, state carried.

    Args:
        trained: The model.
        text: The data, under the model's tokenizer.
        splits: Names of splits.

    Returns:
        By split, the figures of `Score.to_dict`, with the name of the data
        set, the split, and what xz needs for the same text.
    """
    figures = {}
    for split in splits:
        score = sessions.score(trained.model, text.stores[split])
        figures[split] = {
            "dataset": text.text.name,
            "split": split,
            **score.to_dict(),
        }
        if (
            split != "train"
            and text.stores["train"].counts.bytes <= _MOST_XZ_BYTES
        ):
            figures[split]["xz_bits_per_byte"] = xz_bits_per_byte(
                text.text.splits["train"], text.text.splits[split]
            )
    return figures


def evaluate_files(
    trained: TrainedModel, config: configuration.Config
) -> dict[str, Any]:
    """Scores the files that `config.data.train_file` names, all of them."""
    text = prepare(config, trained.tokenizer)
    score = sessions.score(trained.model, text.stores["train"])
    return {"dataset": text.text.name, **score.to_dict()}


def text_of(trained: TrainedModel, overrides: dict[str, Any]) -> PreparedText:
    """The text that a model was trained on, read again.

    Args:
        trained: The model.
        overrides: Settings of the data group to read it with.
    """
    data = dataclasses.replace(trained.config.data, **overrides)
    config = dataclasses.replace(trained.config, data=data)
    return prepare(config, trained.tokenizer)


def write_card(
    run: RunDirectory,
    trained: TrainedModel,
    figures: dict[str, dict[str, Any]],
    sample: str,
) -> None:
    """Writes `evaluation.json`, the loss curve and the run card.

    Args:
        run: The run.
        trained: Its model.
        figures: As `evaluate` gives them.
        sample: A text of the model.
    """
    writing.write_json(run.evaluation, figures)
    draw_curve(run)
    rows = "".join(
        f"| {split} | {f['nats_per_token']:.4f} | {f['perplexity']:.3f} | "
        f"{f['bits_per_character']:.4f} | {f['bits_per_byte']:.4f} | "
        f"{f['tokens']:,} |\n"
        for split, f in figures.items()
    )
    settings = "".join(
        f"| {name} | {value} |\n"
        for group in dataclasses.asdict(run.config).values()
        for name, value in group.items()
        if value not in (None, (), [])
    )
    writing.write_text(
        run.card,
        f"# {run.path.name}\n\n"
        f"A {run.config.model.model} language model of "
        f"{trained.model.count_params():,} parameters, trained with tflm "
        f"{run.facts['tflm']} on {run.fingerprint['dataset']}.\n\n"
        "```python\nimport tflm\n\n"
        f"model = tflm.load({str(run.path)!r})\n"
        'print(model.generate("The ", temperature=0.8))\n```\n\n'
        "## Scores of the best weights\n\n"
        "| split | nats/token | perplexity | bits/character | bits/byte | "
        f"tokens |\n|---|---|---|---|---|---|\n{rows}\n"
        f"![loss curve]({CURVE})\n\n"
        f"## A sample\n\n```text\n{sample}\n```\n\n"
        f"## Settings\n\n| setting | value |\n|---|---|\n{settings}",
    )


CURVE = "loss_curve.png"


def draw_curve(run: RunDirectory) -> None:
    """Draws the losses of `metrics.jsonl` beside it."""
    # A canvas of its own: no window, no change to the user's pyplot.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    entries = read_metrics(run.metrics) if run.metrics.exists() else []
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for key, label in (("loss", "training"), ("val_loss", "validation")):
        points = [(e["step"], e[key]) for e in entries if key in e]
        if points:
            axes.plot(*zip(*points, strict=True), label=label)
            axes.legend()
    axes.set(xlabel="step", ylabel="nats per token", title=run.path.name)
    figure.savefig(Path(run.path) / CURVE, dpi=100)
