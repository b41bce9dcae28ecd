"""What a run says when it ends: scores, samples, run card, loss curve."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any

from tflm import writing
from tflm.config import EXPORTS
from tflm.models import LanguageModel, NGram
from tflm.training import device, drawing
from tflm.training.callbacks import read_metrics
from tflm.training.counting import CountingSession
from tflm.training.loop import INTERRUPTED
from tflm.training.run_directory import RunDirectory
from tflm.training.scores import evaluate
from tflm.training.session import Session
from tflm.training.trained_model import TrainedModel, load

_BASELINES = {
    "xz": "xz_bits_per_byte",
    "5-gram": "kneser_ney_bits_per_byte",
}
_SAMPLE_SETTINGS = {"temperature": 0.8, "max_new_tokens": 400, "seed": 1}


def print_header(session: Session | CountingSession) -> None:
    """Prints what is about to be trained, on what, for how long."""
    text = session.text
    counts = {s: store.counts for s, store in text.stores.items()}
    sizes = ", ".join(f"{c.characters:,} {s}" for s, c in counts.items())
    train = counts["train"]
    rows = {
        "data": f"{text.text.name}: {sizes} (characters)",
        "vocabulary": f"{text.tokenizer.vocabulary_size:,} "
        f"{text.tokenizer.kind}, {train.unknown_tokens:,} unknown",
        "model": _shape(session),
        "device": f"{device.describe()}, {session.run.facts['precision']}",
        "time": _expected_time(session),
        "run": str(session.run.path),
    }
    if isinstance(session, Session) and session.run.facts["padding"]:
        rows = {**rows, "sequences": _sequences(session)}
    if "embeddings" in session.run.facts:
        counts = session.run.facts["embeddings"]
        rows["embeddings"] = (
            f"{counts['found']:,} words found, {counts['missing']:,} missing"
        )
    for name, value in rows.items():
        print(f"{name:<12} {value}", flush=True)


def finish(
    session: Session | CountingSession, reason: str, export_dir: Path
) -> None:
    """Scores the best weights, prints samples, writes card and export.

    Args:
        session: A session whose training has ended.
        reason: Why it ended. After an interruption nothing is exported.
        export_dir: Folder in which the export's own folder is made.
    """
    run, text = session.run, session.text
    progress = session.progress
    print(f"\n{reason} at step {progress.step:,}, {progress.seconds:.0f} s")
    trained = load(run.path)
    figures = evaluate(trained, text, text.held_out)
    for split, values in figures.items():
        beside = ", ".join(
            f"{name}: {values[key]:.4f}"
            for name, key in _BASELINES.items()
            if key in values
        )
        print(
            f"{split:<12} {values['nats_per_token']:.4f} nats/token  "
            f"perplexity {values['perplexity']:.3f}  "
            f"{values['bits_per_character']:.4f} bits/character  "
            f"{values['bits_per_byte']:.4f} bits/byte"
            + (f" ({beside})" if beside else "")
        )
    prompts = [text.prompt(), ""]
    samples = trained.generate(prompts, **_SAMPLE_SETTINGS)
    write_card(run, trained, figures, samples[0])
    where = shlex.quote(str(run.path))
    if reason == INTERRUPTED:
        command = f"python -m tflm.train --resume --run_dir {where}"
        if export_dir != Path(EXPORTS):
            command += f" --export_dir {shlex.quote(str(export_dir))}"
        print(f"go on with: {command}")
        return
    for sample in samples:
        print(f"\n--- a sample, temperature 0.8 ---\n{sample}")
    path = trained.export(export_dir / trained.name)
    print(
        f"\nrun          {run.path} (see its README.md)\n"
        f"export       {path}\nnext\n"
        f'  python -m tflm.generate {where} --prompt "The " '
        "--temperature 0.8\n"
        f"  python -m tflm.evaluate {where}\n"
        f"  tensorboard --logdir {shlex.quote(str(run.tensorboard))}"
    )


def _sequences(session: Session) -> str:
    settings = session.run.config.sequences
    return (
        f"{settings.sequences}, at most {settings.seq_len} tokens, "
        f"{session.run.facts['padding']:.1%} of positions are padding"
    )


def _shape(session: Session | CountingSession) -> str:
    config = session.run.config.model
    if isinstance(session, CountingSession):
        return f"{config.model}, order {config.order}, {config.smoothing}"
    model = session.model
    trainable = sum(v.shape.num_elements() for v in model.trainable_weights)
    frozen = model.count_params() - trainable
    size = f"{config.units} units"
    if config.model == "gpt":
        size = f"width {config.embedding_dim}"
    return (
        f"{config.model}, {config.num_layers} x {size}, "
        f"{trainable:,} parameters to train, {frozen:,} frozen"
    )


def _expected_time(session: Session | CountingSession) -> str:
    if isinstance(session, CountingSession):
        return "one pass over the text, then scores, samples and an export"
    training, loop = session.loop.settings, session.loop
    bounds = []
    if training.max_minutes is not None:
        bounds.append(f"{training.max_minutes:g} minutes of training")
    if loop.total_steps is not None:
        bounds.append(f"{loop.total_steps:,} steps")
    return f"{' or '.join(bounds)}, then scores, samples and an export"


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
    writing.write_json(run.evaluation, writing.finite(figures))
    curve = ""
    if not isinstance(trained.model, NGram):
        draw_curve(run)
        curve = f"![loss curve]({CURVE})\n\n"
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
        f"{_description(run, trained.model)}, trained with tflm "
        f"{run.facts['tflm']} on {run.fingerprint['dataset']}.\n\n"
        "```python\nimport tflm\n\n"
        f"model = tflm.load({str(run.path)!r})\n"
        'print(model.generate("The ", temperature=0.8))\n```\n\n'
        "## Scores of the best weights\n\n"
        "| split | nats/token | perplexity | bits/character | bits/byte | "
        f"tokens |\n|---|---|---|---|---|---|\n{rows}\n"
        f"{curve}## A sample\n\n```text\n{sample}\n```\n\n"
        f"## Settings\n\n| setting | value |\n|---|---|\n{settings}",
    )


def _description(run: RunDirectory, model: LanguageModel) -> str:
    if isinstance(model, NGram):
        size = f"{model.num_ngrams:,} n-grams up to order {model.order}"
        return f"A language model of {size}"
    kind = run.config.model.model
    return f"A {kind} language model of {model.count_params():,} parameters"


CURVE = "loss_curve.png"


def draw_curve(run: RunDirectory) -> None:
    """Draws the losses of `metrics.jsonl` beside it."""
    entries = read_metrics(run.metrics) if run.metrics.exists() else []
    figure = drawing.new_figure(7, 4)
    axes = figure.add_subplot()
    for key, label in (("loss", "training"), ("val_loss", "validation")):
        points = [(e["step"], e[key]) for e in entries if key in e]
        if points:
            axes.plot(*zip(*points, strict=True), label=label)
            axes.legend()
    axes.set(xlabel="step", ylabel="nats per token", title=run.path.name)
    drawing.save(figure, run.path / CURVE)
