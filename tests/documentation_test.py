"""What the documentation says is so: examples, blocks, links, addresses."""

import ast
import configparser
import doctest
import importlib
import inspect
import io
import json
import re
from pathlib import Path

import pytest
from fenced_blocks import (
    AFTER_COMMANDS,
    TEST_COMMAND,
    fenced_blocks,
)

import tflm

ROOT = Path(__file__).parents[1]
STAGES = sorted(
    path.parent.name for path in (ROOT / "tflm").glob("*/__init__.py")
)
README = ROOT / "README.md"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROSE = sorted(
    path
    for pattern in ("*.md", "[a-z]*/README.md", "tflm/**/*.md")
    for path in ROOT.glob(pattern)
)


def setting(section: str, name: str) -> str:
    """A value of setup.cfg, the one place of the project's address."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup[section][name]


URL = setting("metadata", "url")
COLAB = URL.replace(
    "https://github.com", "https://colab.research.google.com/github"
)


def name_of(path: Path) -> str:
    """A file's path in the project."""
    return path.relative_to(ROOT).as_posix()


def examples(path: Path) -> int:
    """The number of `>>>` examples in a module's docstrings."""
    documented = (
        ast.Module,
        ast.ClassDef,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
    )
    parser = doctest.DocTestParser()
    return sum(
        len(parser.get_examples(ast.get_docstring(node) or ""))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, documented)
    )


WITH_EXAMPLES = sorted(
    path for path in (ROOT / "tflm").rglob("*.py") if examples(path)
)


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=name_of)
def test_examples(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = path.relative_to(ROOT).with_suffix("")
    module = importlib.import_module(
        ".".join(place.parts).removesuffix(".__init__")
    )
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report = io.StringIO()
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner.run(test, out=report.write)
    assert runner.failures == 0, report.getvalue()
    # A decorator could hide a function from the search.
    assert runner.tries == examples(path)


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_exports_is_documented(stage):
    module = importlib.import_module(f"tflm.{stage}")
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, f"tflm.{stage}.{name}"
            # `dataclass` would write one.
            assert not value.__doc__.startswith(f"{name}("), name


@pytest.mark.skipif(not README.exists(), reason="there is no README.md")
class TestReadme:
    def test_python_blocks_are_run_where_their_files_are(self):
        """By `.ci/run`, after the commands that make these."""
        markers = {block.marker for block in fenced_blocks(README, "python")}
        assert markers == {AFTER_COMMANDS}

    def test_there_is_one_test_command(self):
        markers = [block.marker for block in fenced_blocks(README, "bash")]
        assert markers.count(TEST_COMMAND) == 1

    def test_every_block_says_its_language(self):
        fences = re.findall(r"^```(.*)$", README.read_text("utf-8"), re.M)
        assert all(fences[::2]), fences
        assert not any(fences[1::2]), fences


def test_fenced_blocks_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\na\n```\n<!-- x y -->\n```bash\nb\n\nc\n```\n"
        "<!-- z -->\nwords\n```python\nd\n```\n"
    )
    assert [tuple(block) for block in fenced_blocks(page, "bash")] == [
        ("", "bash", "a\n"),
        ("x y", "bash", "b\n\nc\n"),
    ]
    assert fenced_blocks(page, "python") == [("", "python", "d\n")]


@pytest.mark.parametrize("path", PROSE, ids=name_of)
def test_links_between_files(path):
    text = re.sub(
        r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.M | re.S
    )
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    for target in targets:
        if not re.match(r"https?:|mailto:|#", target):
            place = path.parent / target.partition("#")[0]
            assert place.exists(), f"{name_of(path)} links to {target}"


def test_changelog_has_the_version():
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{tflm.__version__}]" in changelog


def addresses(text: str) -> list[str]:
    """Addresses that can only be the project's own."""
    hosts = r"https://(?:github\.com|colab\.research\.google\.com/github)"
    repository = rf"{hosts}/[\w.-]+/[\w.-]+?(?=\.git\b|[^\w.-]|\.?$|\.\s)"
    return [
        *re.findall(rf"(?:git\+|git clone )({repository})", text),
        *re.findall(
            rf"({repository})/(?:actions|blob|issues|releases)\b", text
        ),
        *re.findall(rf"({repository})/compare\b", text),
    ]


def test_addresses_are_recognised():
    ours = [
        "pip install git+https://github.com/a/b.c",
        "git clone https://github.com/a/b.c.git\n",
        "(https://github.com/a/b.c/actions/workflows/ci.yml/badge.svg)",
        "https://colab.research.google.com/github/a/b.c/blob/main/x.ipynb",
    ]
    for text in ours:
        (found,) = addresses(text)
        assert found.endswith("/a/b.c"), text
    assert addresses("see https://github.com/a/b.c for more") == []


@pytest.mark.parametrize("path", [*PROSE, *NOTEBOOKS], ids=name_of)
def test_addresses_are_made_from_the_one_in_setup_cfg(path):
    text = path.read_text("utf-8")
    for found in addresses(text):
        assert found in (URL, COLAB), found
    for file in re.findall(rf"{COLAB}/blob/main/([\w./-]+)", text):
        assert (ROOT / file).is_file(), file


class TestNotebooks:
    @pytest.fixture(params=NOTEBOOKS, ids=name_of)
    def path(self, request):
        return request.param

    @pytest.fixture
    def cells(self, path):
        return json.loads(path.read_text("utf-8"))["cells"]

    def test_it_opens_in_colab(self, path, cells):
        badge = f"{COLAB}/blob/main/{name_of(path)}"
        assert badge in "".join(cells[0]["source"])

    def test_it_installs_the_project(self, cells):
        lines = "\n".join("".join(cell["source"]) for cell in cells)
        assert re.search(rf"^ *!pip install -q git\+{URL}$", lines, re.M)

    def test_prose_stands_before_each_code_cell(self, cells):
        for before, cell in zip(cells, cells[1:], strict=False):
            if cell["cell_type"] == "code":
                assert before["cell_type"] == "markdown", cell["source"]

    def test_one_cell_holds_the_parameters(self, cells):
        tagged = [
            cell
            for cell in cells
            if "parameters" in cell["metadata"].get("tags", ())
        ]
        assert len(tagged) == 1

    def test_outputs_are_stored_and_clean(self, cells):
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        counts = [cell["execution_count"] for cell in code]
        assert counts == list(range(1, len(code) + 1))
        outputs = [output for cell in code for output in cell["outputs"]]
        assert outputs
        for output in outputs:
            assert output["output_type"] != "error"
            assert output.get("name") != "stderr", output["text"]
            assert not re.search(r"/(home|root|tmp|work)/", json.dumps(output))
