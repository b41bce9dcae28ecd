"""The flags that are no settings of training, command by command."""

import dataclasses
import json
from pathlib import Path

import pytest
import tensorflow as tf

from tests.flags.effects import (
    ANOTHER,
    EVERYWHERE,
    LEARNT,
    OTHER,
    TEXT,
    VALIDATION,
    WHOLE,
    Effect,
    name_of,
    names_of,
)
from tflm import (
    config,
    evaluate,
    generate,
    inspect,
    presets,
    train,
    training,
)
from tflm.command_line import main as command_line
from tflm.training import device, report, scores
from tflm.training.text import prepare


def test_run_dir_export_dir_and_config_do_what_they_say(folder, ended):
    run, trained, exported = ended
    begun = training.RunDirectory.open(run).config
    assert (begun.training.max_steps, begun.model.units) == (2, 7)
    assert trained.model.units == 7
    assert exported == [Path("exported/own")]
    assert not (folder / "runs").exists()
    assert not (folder / "saved_models").exists()


def test_resume_goes_on_with_the_run_to_its_new_bound(run, monkeypatch):
    """That it begins where the run ended is tested elsewhere."""
    ended = []
    monkeypatch.setattr(
        training.session.Session, "train", lambda _, resume: resume
    )
    monkeypatch.setattr(
        report, "finish", lambda *session: ended.append(session)
    )
    own = f"--resume --run_dir {run} --max_steps 3"
    before = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert before["step"] == 2
    assert train.main(own.split()) == 0
    [(session, resumed, _)] = ended
    assert resumed is True
    assert session.loop.total_steps == 3
    assert session.run.path == run


def test_rows_are_shared_out_as_the_run_has_them(run, monkeypatch):
    shared = []

    def share(parts):
        shared.append(parts)
        raise KeyboardInterrupt  # the rest is tested elsewhere

    began = training.RunDirectory.open(run).row_parts
    monkeypatch.setattr(device, "share_out_rows", share)
    # What the machine has become since then does not count.
    monkeypatch.setattr(device, "row_parts", lambda config: 10 + began)
    monkeypatch.setattr(command_line, "start", lambda prepare: prepare())
    for own in ("", f"--resume --run_dir {run}"):
        with pytest.raises(KeyboardInterrupt):
            train.main(own.split())
    assert shared == [10 + began, began]


@pytest.mark.parametrize("name", presets.PRESETS)
def test_preset_sets_what_it_says(name, monkeypatch):
    begun = []

    def begin(settings, path):
        begun.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "begin", begin)
    with pytest.raises(KeyboardInterrupt):
        train.main(["--preset", name])
    assert begun == [config.from_flat(presets.PRESETS[name].settings)]


def greedy(trained, prompt, tokens):
    """The likeliest text, each token by a pass over all that is before it."""
    ids = [2, *trained.tokenizer.tokenize(prompt).numpy().tolist()]
    before = len(ids)
    for _ in range(tokens):
        logits = trained.model(tf.constant([ids]))[0, -1].numpy()
        ids.append(4 + int(logits[4:].argmax()))
    return prompt + trained.tokenizer.detokenize(ids[before:]).numpy().decode()


NEW = 12
LIKELIEST = object()
GENERATE = [
    Effect(
        "--prompt cat mat", ["cat", "mat"], lambda out: [t[:3] for t in out]
    ),
    Effect(
        "--prompt_file prompts.txt",
        ["cat", "mat"],
        lambda out: [t[:3] for t in out],
    ),
    Effect(
        "--encoding latin-1",
        ["\u00c3"],
        lambda out: [t[:1] for t in out],
        "--prompt_file accents.txt --max_new_tokens 0",
    ),
    Effect(
        "--show_probabilities 2",
        [True],
        lambda out: ["raw  filtered" in text for text in out],
    ),
    Effect("--num_samples 3", 3, len),
    Effect("--max_new_tokens 5", [5], lambda out: [len(text) for text in out]),
    Effect("--temperature 0", LIKELIEST, list),
    Effect("--top_k 1", LIKELIEST, list),
    Effect("--top_p 0.0001", LIKELIEST, list),
    Effect("--seed 5", ANOTHER, list),
    Effect(
        "--detokenize",
        ["Rat-cat"],
        lambda out: [text.split("\n")[0] for text in out],
        "--max_new_tokens 0 --prompt rat@-@cat",
    ),
    Effect("--min_p 1", LIKELIEST, list),
    Effect("--repetition_penalty 50", ANOTHER, list),
    Effect(
        "--no_repeat_ngram 1",
        [True],
        lambda out: [len(set(text)) == len(text) for text in out],
    ),
    Effect("--banned_tokens a e t o", ANOTHER, list),
    Effect(
        "--stop a e i o t s",
        [True],
        lambda out: [len(text) < NEW for text in out],
    ),
    Effect("--on_oov drop", ANOTHER, list, "--prompt \u00e9\u00e9\u00e9"),
    Effect("--precision bfloat16", ANOTHER, list, "--show_probabilities 9"),
    Effect("--num_beams 3", 3, len),
    Effect("--beam_method stochastic", ANOTHER, list, "--num_beams 3"),
    Effect("--length_penalty 30", ANOTHER, list, "--num_beams 3 --stop a e"),
    Effect(
        "--json",
        [["prompt", "text", "unknown"]],
        lambda out: [[*json.loads(t)] if t[:1] == "{" else [] for t in out],
    ),
]


@pytest.mark.parametrize("effect", GENERATE, ids=name_of)
def test_flag_of_generate_changes_what_it_names(effect, said, trained):
    base = ["--seed", "1", "--max_new_tokens", str(NEW)]

    def texts(arguments):
        out = said(generate, base, arguments)
        return out.removesuffix("\n").split("\n" + "-" * 40 + "\n")

    if effect.seen is LIKELIEST:
        effect = dataclasses.replace(effect, seen=[greedy(trained, "", NEW)])
    effect.check(texts)


def test_one_seed_gives_one_text(said):
    base = ["--seed", "1", "--max_new_tokens", str(NEW)]
    for given in ("", "--prompt \u00e9\u00e9\u00e9", "--show_probabilities 9"):
        assert said(generate, base, given) == said(generate, base, given)


def test_every_flag_of_generate_has_its_row():
    rows = {effect.name for effect in GENERATE} | {"stream", "interactive"}
    assert rows | EVERYWHERE == names_of(generate._parser())


def test_stream_is_the_text_in_pieces(said, monkeypatch):
    base = ["--seed", "1", "--prompt", "cat"]
    whole = said(generate, base, "")
    pieces = []
    monkeypatch.setattr(
        "builtins.print",
        lambda *texts, end="\n", **_: pieces.append("".join(texts) + end),
    )
    said(generate, base, "--stream")
    assert "".join(pieces) == whole
    assert len(pieces) > 20


def test_interactive_reads_what_is_typed(said, monkeypatch):
    base = ["--seed", "1", "--max_new_tokens", str(NEW)]
    whole = said(generate, base, "--prompt cat")
    typed = iter(["cat", "/quit"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    assert said(generate, base, "--interactive").endswith("\n" + whole)


def figures(name):
    """Looks at a figure of what `evaluate` prints, one for each line."""
    return lambda lines: [line.get(name) for line in lines]


TARGETS = len(TEXT) - len(LEARNT) - VALIDATION + 1  # of the test split
ONE = "--split test"
EVALUATE = [
    Effect("--text_file other.txt", [len(OTHER)], figures("characters")),
    Effect("--split test", ["test"], figures("split")),
    Effect(
        "--no_baselines",
        False,
        lambda lines: any("baseline" in n or "xz" in n for n in lines[0]),
    ),
    Effect("--history none", ANOTHER, figures("nats_per_token"), ONE),
    Effect(
        "--window 3",
        ANOTHER,
        figures("nats_per_token"),
        f"{ONE} --history none",
    ),
    Effect(
        "--stride 2",
        ANOTHER,
        figures("nats_per_token"),
        f"{ONE} --history sliding --window 8",
    ),
    Effect("--documents joined", [TARGETS - 1], figures("tokens"), ONE),
    Effect(
        "--encoding latin-1",
        [80],
        figures("characters"),
        "--text_file accents.txt",
    ),
]


@pytest.fixture(scope="module")
def known():
    """What commands have printed, by their arguments."""
    return {}


@pytest.mark.parametrize("effect", EVALUATE, ids=name_of)
def test_flag_of_evaluate_changes_what_it_names(effect, said, known):
    def lines(arguments):
        base = [] if effect.name == "no_baselines" else ["--no_baselines"]
        key = ("evaluate", *base, *arguments.split())
        if key not in known:
            known[key] = said(evaluate, base, arguments)
        return [json.loads(line) for line in known[key].splitlines()]

    effect.check(lines)


def test_evaluate_keeps_its_ids_in_cache_dir(folder, said):
    said(evaluate, ["--no_baselines"], "--split test --cache_dir scored")
    assert list((folder / "scored").glob("*/targets.bin"))


def test_evaluate_looks_for_its_data_in_data_dir(said, monkeypatch):
    """Files are not looked for there: what is read is not the question."""
    read = []

    def remember(settings, tokenizer):
        read.append(settings.data.data_dir)
        return prepare(settings, tokenizer)

    monkeypatch.setattr(scores, "prepare", remember)
    said(evaluate, ["--no_baselines"], "--split test --data_dir elsewhere")
    assert read == ["elsewhere"]


def test_every_flag_of_evaluate_has_its_row():
    rows = {effect.name for effect in EVALUATE} | {"cache_dir", "data_dir"}
    assert rows | EVERYWHERE == names_of(evaluate._parser())


INSPECT = [
    Effect(
        "--most 3", 3, lambda found: len(found["frequent_tokens"]), "--json"
    ),
    Effect(
        "--bpe_example",
        8,
        lambda found: len(found["byte_pair_merges"]),
        "--json",
    ),
    Effect(
        "--tokenizer bytes",
        "bytes",
        lambda found: found["tokenizer"],
        f"--json --train_file words.txt --seq_len 16 {WHOLE}",
    ),
    Effect(
        "--preset char-gpt",
        64,
        lambda found: len(found["sequences"]["batch"]["targets"][0]),
        "--json --train_file words.txt",
    ),
    Effect(
        "--config bytes.yaml",
        "bytes",
        lambda found: found["tokenizer"],
        "--json --train_file words.txt",
    ),
]


@pytest.mark.parametrize("effect", INSPECT, ids=name_of)
def test_flag_of_inspect_changes_what_it_names(
    effect, run, folder, capsys, known
):
    (folder / "bytes.yaml").write_text("tokenizer: bytes\n")

    def found(arguments):
        key = ("inspect", *arguments.split())
        if key not in known:
            capsys.readouterr()
            text = [] if "--train_file" in arguments else [str(run)]
            inspect.main([*text, "--cache_dir", "cache", *arguments.split()])
            known[key] = capsys.readouterr().out
        return json.loads(known[key])

    effect.check(found)


def test_inspect_draws_and_prints_for_readers(said, folder):
    page = said(inspect, [], "--picture lengths.png")
    assert (folder / "lengths.png").is_file()
    assert page.splitlines()[0].startswith("words.txt, characters, a vocab")


def test_every_flag_of_inspect_has_its_row():
    rows = {effect.name for effect in INSPECT} | {"json", "picture"}
    groups = ("data", "tokenizer", "sequences")
    settings = {
        entry.name
        for group in groups
        for entry in dataclasses.fields(getattr(config.Config(), group))
    }
    assert rows | settings | EVERYWHERE == names_of(inspect._parser())
