"""The settings of generation: their rules and their values.

They stand apart from the code that obeys them, so that a command can name and
check its flags without TensorFlow.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tflm import config

_INFINITY = float("inf")
_LARGEST = 2**31 - 1


class Setting(NamedTuple):
    """The type and the rule of one setting.

    `holds` takes a Python number or a tensor: one rule for both.
    """

    dtype: str
    rule: str
    holds: Callable[[Any], Any]


SETTINGS = {
    "max_new_tokens": Setting(
        "int32",
        f"from 0 to {_LARGEST}",
        lambda value: (value >= 0) & (value <= _LARGEST),
    ),
    "temperature": Setting(
        "float32",
        "finite and at least 0",
        lambda value: (value >= 0) & (value < _INFINITY),
    ),
    "top_k": Setting(
        "int32",
        f"from 0 (off) to {_LARGEST}",
        lambda value: (value >= 0) & (value <= _LARGEST),
    ),
    "top_p": Setting(
        "float32",
        "above 0 and at most 1 (off)",
        lambda value: (value > 0) & (value <= 1),
    ),
    "seed": Setting(
        "int32",
        f"from -1 (a fresh one) to {_LARGEST}",
        lambda value: (value >= -1) & (value <= _LARGEST),
    ),
    # Of the likeliest next tokens: a setting of a call, never of an export.
    "k": Setting(
        "int32",
        f"from 1 to {_LARGEST}",
        lambda value: (value >= 1) & (value <= _LARGEST),
    ),
}


@dataclasses.dataclass(frozen=True)
class GenerationSettings(config.Checked):
    """How text is generated where a call does not say it.

    Raises:
        ValueError: If a value breaks its rule.
        TypeError: If a value has the wrong type.

    Example:
    >>> settings = GenerationSettings(temperature=0.5, top_k=40)
    >>> GenerationSettings.from_dict(settings.to_dict()) == settings
    True
    """

    max_new_tokens: int = config.setting(200, "tokens generated at the most")
    temperature: float = config.setting(
        1.0, "divides the logits; 0 takes the likeliest token"
    )
    top_k: int = config.setting(0, "likeliest tokens to draw from; 0: all")
    top_p: float = config.setting(
        1.0, "probability of the likeliest tokens to draw from; 1: all"
    )
    seed: int = config.setting(
        -1, "row b of a batch draws with seed + b; -1: fresh ones each time"
    )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the settings, in order."""
        return tuple(entry.name for entry in dataclasses.fields(cls))

    def to_dict(self) -> dict[str, Any]:
        """The settings by name, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GenerationSettings":
        """The settings that `to_dict` gave, also out of JSON.

        Raises:
            ValueError: If a name is not a setting or a value breaks its rule.
            TypeError: If a value has the wrong type.
        """
        for name in values:
            if name not in cls.names():
                raise ValueError(config.unknown("setting", name, cls.names()))
        return cls(**values)

    def _check_ranges(self) -> None:
        for name in self.names():
            setting = SETTINGS[name]
            holds = setting.holds(getattr(self, name))
            config.require(holds, self, name, setting.rule)
