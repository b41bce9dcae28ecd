"""How the tests are shared out to processes."""

import gc

import pytest
from xdist.scheduler import LoadFileScheduling

# Folders in which several files use what takes long to make.
TOGETHER = ("tests/serving", "tests/training")


class SharedOut(LoadFileScheduling):
    """The tests of a file to one process, or those of a folder."""

    def _split_scope(self, nodeid):
        file = super()._split_scope(nodeid)
        folder = file.rpartition("/")[0]
        return folder if folder in TOGETHER else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    if config.getoption("dist") == "loadfile":
        return SharedOut(config, log)
    return None  # whoever asks for another way has it


def pytest_collection_finish():
    """Garbage is looked for less often, and not in what has been imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
