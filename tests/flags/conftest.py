import pytest
import yaml

from tests.flags.effects import BASE, FILES
from tflm import train, training
from tflm.command_line import main as command_line
from tflm.training import report


@pytest.fixture(scope="package", autouse=True)
def folder(tmp_path_factory):
    """The folder that all of it happens in, with the texts to read."""
    folder = tmp_path_factory.mktemp("flags")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder / "home"))
        # Here TensorFlow is awake, and pytest looks after the warnings.
        patch.setattr(command_line, "start", lambda *unused: None)
        yield folder


@pytest.fixture(scope="package")
def ended(folder):
    """A run of two steps, by the flags of training that are no settings.

    Its directory, its model, and where that would be exported: an export of
    a run is tested elsewhere.
    """
    settings = {"units": 5, "max_steps": 2, "dropout": 0.0}
    (folder / "own.yaml").write_text(yaml.safe_dump(settings))
    own = "--config own.yaml --run_dir trained/own --export_dir exported"
    loaded, exported = [], []

    def load(path):
        loaded.append(training.load(path))
        return loaded[-1]

    def export(trained, directory):
        exported.append(directory)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "load", load)
        patch.setattr(training.TrainedModel, "export", export)
        assert train.main(f"{BASE} {own} --units 7".split()) == 0
    return folder / "trained/own", loaded[-1], exported


@pytest.fixture(scope="package")
def run(ended):
    return ended[0]


@pytest.fixture(scope="package")
def trained(ended):
    """The run's model, which every command is given: it is traced once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "load", lambda path: ended[1])
        yield ended[1]


@pytest.fixture
def said(capsys, run, trained):
    """What a command prints for the run, by its flags."""

    def say(command, base, arguments):
        capsys.readouterr()
        command.main([str(run), *base, *arguments.split()])
        return capsys.readouterr().out

    return say
