"""Frozen dataclasses whose values are checked, and what they say of them."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable
from typing import Any

# Beside a close match, more valid names than these only hide it.
_MOST_LISTED = 12


def setting(default: Any, meaning: str, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field with its meaning and its allowed values beside it."""
    return dataclasses.field(
        default=default, metadata={"help": meaning, "choices": choices}
    )


class Checked:
    """A dataclass whose values are checked against their fields when made."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for entry in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, entry.name)
            checked = _checked(entry, hints[entry.name], value)
            object.__setattr__(self, entry.name, checked)
        self._check_ranges()
        for name, value in vars(self).items():
            if isinstance(value, float):
                require(math.isfinite(value), self, name, "finite")

    def _check_ranges(self) -> None:
        """Raises `ValueError` where a value is out of its range."""


def unknown(kind: str, name: str, valid: Iterable[str]) -> str:
    """The message for a name that is not among the valid ones.

    >>> unknown("model", "gruu", ["gru", "lstm"])
    "unknown model 'gruu': did you mean 'gru'? Valid: gru, lstm"
    """
    names = list(valid)
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f": did you mean {close[0]!r}?" if close else "."
    if close and len(names) > _MOST_LISTED:
        return f"unknown {kind} {name!r}{hint}"
    return f"unknown {kind} {name!r}{hint} Valid: {', '.join(names)}"


def require(holds: bool, config: object, name: str, rule: str) -> None:
    """Raises `ValueError` with the rule and the value where it is broken."""
    if not holds:
        value = getattr(config, name)
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value}")


def require_at_least(least: float, config: object, name: str) -> None:
    """`require` for a lower bound; None passes."""
    value = getattr(config, name)
    holds = value is None or value >= least
    require(holds, config, name, f"at least {least}")


def _checked(entry: dataclasses.Field, hint: Any, value: Any) -> Any:
    """The value as its field's type, or a TypeError or ValueError."""
    if typing.get_origin(hint) is tuple:
        value = (value,) if isinstance(value, str) else value
        value = tuple(value) if isinstance(value, list) else value
        allowed: tuple[type, ...] = (str, tuple)
    elif isinstance(hint, types.UnionType):
        allowed = typing.get_args(hint)
    else:
        allowed = (hint,)
    if float in allowed and type(value) is int:
        value = float(value)
    if type(value) not in allowed:
        wanted = " or ".join(kind.__name__ for kind in allowed)
        raise TypeError(
            f"`{entry.name}` must be {wanted}. "
            f"Received: {entry.name}={value!r} ({type(value).__name__})"
        )
    choices = entry.metadata["choices"]
    if choices and value not in choices:
        raise ValueError(unknown(entry.name, value, choices))
    return value
