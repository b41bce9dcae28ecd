import pytest

from tflm.training import drawing


@pytest.mark.parametrize(
    ("name", "written", "begins"),
    [
        ("plot.png", "plot.png", b"\x89PNG"),
        ("plot.svg", "plot.svg", b"<?xml"),
        ("plot", "plot.png", b"\x89PNG"),
    ],
)
def test_suffix_says_as_what_a_figure_is_written(
    name, written, begins, tmp_path
):
    figure = drawing.new_figure(2, 1)
    figure.add_subplot().plot([1, 2])
    drawing.save(figure, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [written]
    assert (tmp_path / written).read_bytes().startswith(begins)


def test_figure_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="not supported"):
        drawing.save(drawing.new_figure(2, 1), tmp_path / "plot.txt.nothing")
    assert list(tmp_path.iterdir()) == []
