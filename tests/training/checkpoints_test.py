import json
import shutil

import numpy as np
import pytest

from tests.training.conftest import Bigram, compiled, digests
from tflm.training.checkpoints import Checkpoints, has_whole


@pytest.fixture
def model():
    return compiled(Bigram())


@pytest.fixture
def checkpoints(tmp_path, model):
    return Checkpoints(tmp_path, model, model.optimizer)


def save(checkpoints, step):
    """Saves a checkpoint whose every variable says its step."""
    for variable in checkpoints.variables:
        variable.assign(np.full(variable.shape, step))
    checkpoints.save(step, {"step": step})


def restored_step(checkpoints):
    """The step that the restored state and all variables agree on."""
    for variable in checkpoints.variables:
        variable.assign(np.full(variable.shape, 77))
    state = checkpoints.restore()
    if state is None:
        return None
    values = [np.asarray(v.value) for v in checkpoints.variables]
    assert all((value == state["step"]).all() for value in values)
    return state["step"]


def test_restores_every_variable_and_the_state(tmp_path, model, checkpoints):
    random = np.random.default_rng(0)
    for variable in checkpoints.variables:
        value = 9 * random.random(variable.shape)
        variable.assign(value.astype(variable.dtype))
    saved = digests(model)
    state = {"progress": {"step": 5, "nats": 0.1 + 0.2}, "best": float("inf")}
    checkpoints.save(5, state)
    fresh = compiled(Bigram())
    assert digests(fresh) != saved
    restored = Checkpoints(tmp_path, fresh, fresh.optimizer).restore()
    assert restored == state
    assert digests(fresh) == saved


def test_only_the_newest_two_are_kept(tmp_path, checkpoints):
    # By number, not by name: nine comes before ten.
    for step in (9, 10, 100, 100_000_001):
        save(checkpoints, step)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["step_00000100", "step_100000001"]


def test_a_step_can_be_saved_again(tmp_path, checkpoints):
    save(checkpoints, 3)
    (tmp_path / "step_00000003" / "variables.npz").unlink()
    save(checkpoints, 3)
    assert restored_step(checkpoints) == 3


def test_none_without_checkpoints(tmp_path, model, checkpoints):
    assert checkpoints.restore() is None
    nowhere = Checkpoints(tmp_path / "nowhere", model, model.optimizer)
    assert nowhere.restore() is None


def test_a_save_that_fails_leaves_no_checkpoint(
    monkeypatch, tmp_path, checkpoints
):
    save(checkpoints, 1)
    before = sorted(tmp_path.iterdir())

    def full(path, **arrays):
        path.write_bytes(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space left"):
        save(checkpoints, 2)
    assert sorted(tmp_path.iterdir()) == before
    assert restored_step(checkpoints) == 1


def test_what_a_killed_save_left_is_no_checkpoint(tmp_path, checkpoints):
    save(checkpoints, 1)
    shutil.copytree(tmp_path / "step_00000001", tmp_path / ".step_00000002.x")
    assert has_whole(tmp_path)
    assert restored_step(checkpoints) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000001"]


def test_half_of_a_checkpoint_is_no_whole_one(tmp_path, checkpoints):
    save(checkpoints, 1)
    (tmp_path / "step_00000001").rename(tmp_path / ".step_00000001.x")
    assert not has_whole(tmp_path)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def remove(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def leave_hash_out(path):
    saved = json.loads(path.read_text())
    del saved["sha256"]
    path.write_text(json.dumps(saved))


BREAKS = [
    (truncate, "variables.npz"),
    (flip, "variables.npz"),
    (remove, "variables.npz"),
    (truncate, "state.json"),
    (empty, "state.json"),
    (remove, "state.json"),
    (leave_hash_out, "state.json"),
]


@pytest.mark.parametrize(("damage", "name"), BREAKS)
def test_broken_newest_is_passed_over(tmp_path, checkpoints, damage, name):
    save(checkpoints, 10)
    save(checkpoints, 20)
    assert restored_step(checkpoints) == 20
    damage(tmp_path / "step_00000020" / name)
    assert has_whole(tmp_path)
    warning = (
        r"step_00000020 is broken \(.+\), now broken_step_00000020; "
        "taking the one before it$"
    )
    with pytest.warns(UserWarning, match=warning):
        assert restored_step(checkpoints) == 10
    # It counts no more among those that are kept.
    save(checkpoints, 15)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "broken_step_00000020",
        "step_00000010",
        "step_00000015",
    ]


def test_none_where_all_are_broken(tmp_path, checkpoints):
    for step in (10, 20):
        save(checkpoints, step)
        flip(tmp_path / f"step_{step:08d}" / "variables.npz")
    assert not has_whole(tmp_path)
    with pytest.warns(UserWarning) as warned:
        assert restored_step(checkpoints) is None
    messages = [str(warning.message) for warning in warned]
    assert ["step_00000020" in m for m in messages] == [True, False]
    assert ["step_00000010" in m for m in messages] == [False, True]
    assert messages[0].endswith("; taking the one before it")
    assert messages[1].endswith("none before it: the run begins anew")


def test_checkpoint_of_another_model_is_passed_over(tmp_path, checkpoints):
    save(checkpoints, 1)
    saved = len(checkpoints.variables)
    checkpoints.variables = checkpoints.variables[:-1]
    message = f"{saved} variables for {saved - 1}"
    with pytest.warns(UserWarning, match=message):
        assert checkpoints.restore() is None
