import dataclasses
import math

import pytest

from tflm import checked


@dataclasses.dataclass(frozen=True)
class Shape(checked.Checked):
    sides: int = checked.setting(3, "how many sides it has")
    scale: float = checked.setting(1.0, "what it is multiplied by")
    area: float | None = checked.setting(None, "what it covers")
    color: str = checked.setting("red", "its color", ("red", "green"))
    names: tuple[str, ...] = checked.setting((), "what it is called")

    def _check_ranges(self):
        checked.require_at_least(3, self, "sides")
        checked.require_at_least(0, self, "area")
        checked.require(self.scale != 0, self, "scale", "other than 0")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"scale": 2}, 2.0),
        ({"area": 0}, 0.0),
        ({"area": None}, None),
        ({"names": "a"}, ("a",)),
        ({"names": ["a", "b"]}, ("a", "b")),
        ({"color": "green"}, "green"),
    ],
    ids=str,
)
def test_values_take_the_types_of_their_fields(given, kept):
    [name] = given
    found = getattr(Shape(**given), name)
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("error", "given", "message"),
    [
        (
            TypeError,
            {"sides": 4.0},
            "`sides` must be int. Received: sides=4.0 ",
        ),
        (TypeError, {"sides": True}, "`sides` must be int. Received: sides=Tr"),
        (
            TypeError,
            {"area": "1"},
            "`area` must be float or NoneType. Received",
        ),
        (TypeError, {"names": 1}, "`names` must be str or tuple. Received"),
        (ValueError, {"sides": 2}, "`sides` must be at least 3. Received: sid"),
        (ValueError, {"area": -0.5}, "`area` must be at least 0. Received: ar"),
        (ValueError, {"scale": 0.0}, "`scale` must be other than 0. Received"),
        (
            ValueError,
            {"scale": math.inf},
            "`scale` must be finite. Received: scale=inf",
        ),
        (ValueError, {"color": "gren"}, "unknown color 'gren': did you mean "),
    ],
    ids=str,
)
def test_what_breaks_a_rule_is_named_in_one_line(error, given, message):
    with pytest.raises(error) as raised:
        Shape(**given)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "valid", "message"),
    [
        ("gruu", ["gru", "lstm"], ": did you mean 'gru'? Valid: gru, lstm"),
        ("transducer", ["gru", "lstm"], ". Valid: gru, lstm"),
        # Among many a close one is enough.
        ("n7x", [f"n{n}" for n in range(13)], ": did you mean 'n7'?"),
    ],
)
def test_unknown_name_is_told_from_the_valid_ones(name, valid, message):
    expected = f"unknown model {name!r}{message}"
    assert checked.unknown("model", name, valid) == expected
