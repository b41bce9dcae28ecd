"""The settings of generation, checked when they are made."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tflm import config, sampling


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
        known = [entry.name for entry in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise ValueError(config.unknown("setting", name, known))
        return cls(**values)

    def _check_ranges(self) -> None:
        for name, setting in sampling.SETTINGS.items():
            holds = setting.holds(getattr(self, name))
            config.require(holds, self, name, setting.rule)
