"""The layout holds: who imports whom, what is a command, where tests stand.

A stage imports the foundation and the stages before it, nothing else of tflm.
"""

import ast
import configparser
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tflm

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tflm"

# In the order in which data flows.
STAGES = (
    "datasets",
    "tokenizers",
    "pipelines",
    "layers",
    "models",
    "evaluation",
    "sampling",
    "generation",
    "serving",
    "training",
    "inspection",
    "command_line",
)
# What every module may import, and what that itself may import.
FOUNDATION: dict[str, tuple[str, ...]] = {
    "__version__": (),
    "checked": (),
    "config": ("checked",),
    "grouping": (),
    "parallel": (),
    "processor": (),
    "writing": (),
    "presets": ("checked", "config"),
    "generation_settings": ("checked",),
    "scoring_settings": ("checked",),
}
# It takes logits and gives ids: it knows no model and no text.
ALONE = ("sampling",)
# Tests of more than one module.
WHOLE = tuple(
    f"tests/{subject}_test.py"
    for subject in (
        "commands",
        "documentation",
        "imports",
        "datasets/wikitext/recipe",
        "generation/constrained",
        "generation/every_kind",
        "layers/drop_in",
        "flags/commands",
        "flags/settings",
        "models/gpt_context",
        "serving/c_program",
        "serving/hostile",
        "training/sequences",
    )
)

MODULES = sorted(PACKAGE.rglob("*.py"))
TOP = [path for path in MODULES if path.parent == PACKAGE]
COMMANDS = [
    path
    for path in TOP
    if path.stem not in (*FOUNDATION, "__init__", "__main__")
]
# The package itself and its commands may import everything.
RESTRICTED = sorted(set(MODULES) - {*COMMANDS, *PACKAGE.glob("__*__.py")})


def imports(source: str) -> Iterator[str]:
    """The dotted names that a module imports, at any depth of its code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module == "tflm":
                yield from (f"tflm.{alias.name}" for alias in node.names)
            else:
                yield module


def misplaced(stage: str, source: str) -> list[str]:
    """What a module of a stage, or of the foundation, must not import."""
    if stage in FOUNDATION:
        allowed = {stage, *FOUNDATION[stage]}
    else:
        before = () if stage in ALONE else STAGES[: STAGES.index(stage)]
        allowed = {*FOUNDATION, *before, stage}
    return [
        name
        for name in imports(source)
        if name.startswith(".")
        or name == "tflm"
        or (name.startswith("tflm.") and name.split(".")[1] not in allowed)
    ]


def name_of(path: Path) -> str:
    """A module's path in the project."""
    return path.relative_to(ROOT).as_posix()


def test_the_rule_finds_what_breaks_it():
    assert not misplaced("models", "from tflm import config\nimport keras")
    assert not misplaced("models", "from tflm.layers import recurrent")
    assert not misplaced("models", "from tflm.models.gpt import GPT")
    assert not misplaced("sampling", "from tflm.sampling import seeds")
    assert not misplaced("presets", "from tflm import config")
    wrong = {
        "models": "def f():\n    from tflm.evaluation import score",
        "evaluation": "import tflm",
        "sampling": "from tflm import tokenizers",
        "layers": "from . import recurrent",
        "generation": "from tflm import load",
        "training": "from tflm import train",
        "config": "from tflm import presets",
    }
    for stage, source in wrong.items():
        assert len(misplaced(stage, source)) == 1, source


@pytest.mark.parametrize("path", RESTRICTED, ids=name_of)
def test_a_stage_imports_only_what_stands_before_it(path):
    place = path.relative_to(PACKAGE)
    stage = place.parts[0].removesuffix(".py")
    assert stage in (*FOUNDATION, *STAGES), f"{stage} is no known stage"
    assert misplaced(stage, path.read_text("utf-8")) == []


@pytest.mark.parametrize("stage", [s for s in STAGES if s != "command_line"])
def test_the_package_has_every_stage(stage):
    assert stage in dir(tflm)
    assert getattr(tflm, stage).__name__ == f"tflm.{stage}"


@pytest.mark.parametrize("path", COMMANDS, ids=name_of)
def test_a_file_beside_the_stages_is_a_command(path):
    body = ast.parse(path.read_text("utf-8")).body
    functions = [n.name for n in body if isinstance(n, ast.FunctionDef)]
    assert "main" in functions
    assert ast.unparse(body[-1]).startswith("if __name__ == '__main__':")


def test_what_is_imported_is_declared():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"].splitlines()
    declared = {_normal(line.split()[0]) for line in lines if line}
    distributions = importlib.metadata.packages_distributions()
    for path in MODULES:
        for name in imports(path.read_text("utf-8")):
            package = name.split(".")[0]
            if package in (*sys.stdlib_module_names, "tflm"):
                continue
            found = {_normal(d) for d in distributions.get(package, [package])}
            assert found & declared, f"{name_of(path)} imports {name}"


def test_tests_mirror_modules():
    tests = {name_of(path) for path in (ROOT / "tests").rglob("*_test.py")}
    for test in tests - set(WHOLE):
        tested = test.replace("tests/", "tflm/", 1).replace("_test.py", ".py")
        assert (ROOT / tested).is_file(), f"{test} has no {tested}"


def _normal(requirement: str) -> str:
    """A distribution's name in one spelling, without extras."""
    return requirement.split("[")[0].lower().replace("_", "-")
